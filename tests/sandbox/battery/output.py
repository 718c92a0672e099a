"""Output that acts on a terminal, a page or a log, and what is left of it when it is shown.

The attempt gets through if what `handrail.clean` leaves still acts. How that is judged here shares nothing with how it
is cleaned there: by Unicode's own categories.
"""

from __future__ import annotations

import re
import sys
import unicodedata

from handrail.clean import clean
from tests.sandbox.battery.sides import Side

CUT = b"\n=====CUT=====\n"
LIMIT = 1 << 20
MANY = 16 << 20

PAYLOADS: dict[str, bytes] = {
    "colour": b"\x1b[31mred",
    "move_the_cursor": b"real\x1b[1A\x1b[2Kforged",
    "clear_the_screen": b"\x1b[2J\x1b[3J\x1b[H",
    "alternate_screen": b"\x1b[?1049h",
    "title_of_the_window": b"\x1b]0;trusted\x07",
    "hyperlink": b"\x1b]8;;https://evil.example\x1b\\https://good.example\x1b]8;;\x1b\\",
    "clipboard": b"\x1b]52;c;cm0gLXJmIC8=\x07",
    "device_control_string": b'\x1bP$q"p\x1b\\',
    "application_command": b"\x1b_Gpicture\x1b\\",
    "question_to_the_terminal": b"\x1b[6n\x1b[c",
    "character_set": b"\x1b(0lqqk\x1b(B",
    "keys_of_the_keyboard": b"\x1bc\x1b[20h\x1b[?2004l",
    "eight_bit_sequence": "\u009b31mred".encode(),
    "eight_bit_string": "\u009d0;title\u009c".encode(),
    "sequence_in_a_sequence": b"\x1b[\x1b[31m31mred",
    "string_in_a_string": b"\x1b]0;\x1b]0;x\x07title\x07",
    "string_without_end": b"\x1b]0;everything that follows\n",
    "bell": b"\x07\x07",
    "backspaces": b"rm -rf /" + b"\x08" * 8 + b"ls      ",
    "carriage_return": b"rm -rf /\rls      ",
    "next_line_and_separators": "real\u0085forged\u2028forged\u2029forged\x0bforged".encode(),
    "direction_override": "access = \u202e\u2066user\u2069\u2066admin".encode(),
    "direction_marks": "a\u200eb\u200fc\u061cd".encode(),
    "unseen_letters": "pass\u200bword \ufeff \u2060 \u00ad".encode(),
    "tags": ("go" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore")).encode(),
    "no_text_at_all": b"\xff\xfe\x00\x80\x9b31m",
    "annotation": "shown\ufff9hidden\ufffa\ufffb".encode(),
    "workflow_command": b"::add-mask::x\n::set-env name=PATH::/evil",
    "workflow_command_indented": b"   ::stop-commands::x\n\t::error file=a::forged",
    "workflow_command_of_old": b"##[add-path]/evil",
    "pipeline_command": b"x ##vso[task.setvariable variable=PATH]/evil",
    "section_of_a_log": b"\x1b[0Ksection_start:1560896352:x[collapsed=true]\r\x1b[0Kforged",
}
_COMMAND = re.compile(r"(?m)^\s*::[a-z-]+|##\[|##vso\[|##teamcity\[")
_SCRIPT = "import sys; [sys.stdout.buffer.write(bytes.fromhex(p) + bytes.fromhex(sys.argv[1])) for p in sys.argv[2:]]"


def acts(text: str) -> bool:
    """Whether a terminal, a reader's eye or a runner of workflows could be fooled by it."""
    hidden = any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"} and c not in "\n\t" for c in text)
    return hidden or _COMMAND.search(text) is not None


async def run(side: Side) -> dict[str, tuple[bool, str]]:
    """Print it all inside, and look at what would be shown; without walls, at what came."""
    argv = [sys.executable, "-I", "-S", "-c", _SCRIPT, CUT.hex(), *(payload.hex() for payload in PAYLOADS.values())]
    done = await side.run(argv, limit=LIMIT)
    answers = {}
    for name, came in zip(PAYLOADS, done.stdout.split(CUT), strict=False):
        assert came == PAYLOADS[name]
        text = came.decode("utf-8", "replace")
        shown = clean(text) if side.walled else text
        answers[name] = acts(shown), repr(shown)
    for name, stream in (("output_without_end", "stdout"), ("errors_without_end", "stderr")):
        code = f"import sys\nfor _ in range({MANY >> 20}): sys.{stream}.buffer.write(bytes(1 << 20))"
        done = await side.run([sys.executable, "-I", "-S", "-c", code], limit=LIMIT)
        kept = len(done.stdout) + len(done.stderr)
        answers[name] = kept > LIMIT, f"{kept} bytes were kept"
    return answers


NAMES = (*PAYLOADS, "output_without_end", "errors_without_end")
