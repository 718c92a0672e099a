"""Text from an agent, made safe to show to a person: on a terminal, and on a page.

An agent's words, file contents and tool output come from outside. Written as they are, they could move the cursor,
retitle the window, fill the clipboard (OSC 52) or turn text round so that a person reads something else than what
runs (CVE-2021-42574, "Trojan Source").
"""

from __future__ import annotations

import re

# ECMA-48: CSI ends at a byte of @..~; OSC, DCS, SOS, PM and APC are strings that end at ST (or BEL).
# Each alternative stops at the next introducer, so the scan stays linear. A string that never ends, or spans lines,
# only loses its introducer: what an agent hides from the reader must not grow with what it forgets to close.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x90\x98\x9b-\x9f\n]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,8}[0-Z\\^-~]"
)
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# zero-width characters but U+200C and U+200D, which scripts and emoji need; tag characters, which only hide text
_UNSEEN = "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_DROPPED = re.compile(f"[\x00-\x08\x0e-\x1f\x7f-\x9f{_BIDI}{_UNSEEN}]")
_REVEALED = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_BIDI}{_UNSEEN}\u200c\u200d]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# What runners of workflows obey when it stands in a log (GitHub at the beginning of a line, the rest anywhere):
# https://docs.github.com/actions/reference/workflow-commands-for-github-actions
_COMMANDS = re.compile(
    r"(?im)^([ \t]*:)(?=:(?:add-(?:mask|matcher|path)|remove-matcher|set-(?:env|output)|save-state|stop-commands|echo"
    r"|debug|notice|warning|error|group|endgroup)(?:[ :]|$))|(#)(?=#(?:vso|teamcity)?\[)"
)


def clean(text: str) -> str:
    r"""`text` without anything that acts on a terminal; line ends become `\n`, tabs stay.

    Commands to a runner of workflows (`::set-env`, `##vso[`) get a space that breaks them.
    For prose and output. Where a person decides on what they read (a command to approve), use `reveal`.
    """
    if not (text.isascii() and text.isprintable()):  # most text of a page is, and nothing in it acts
        text = _SEQUENCES.sub("", text)
        text = _LINE_ENDS.sub("\n", text)
        text = _SURROGATES.sub("\ufffd", _DROPPED.sub("", text))
    return _COMMANDS.sub(r"\1\2 ", text) if "::" in text or "##" in text else text


def reveal(text: str) -> str:
    r"""`text` with every hidden or acting character spelled out (`\x1b`, `\u202e`): nothing is taken away."""
    if text.isascii() and text.isprintable():
        return text
    return _REVEALED.sub(lambda match: _spelled(ord(match[0])), text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 200) -> str:
    """`text` revealed, on one line, cut to `limit` characters."""
    flat = " ".join(reveal(text[: limit * 8]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _spelled(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def split_open(text: str) -> tuple[str, str]:
    """Split streamed text into what can be cleaned now, and an unfinished sequence that waits for the next piece."""
    if text.endswith("\r"):
        return text[:-1], "\r"
    at = text.rfind("\x1b")
    if at < 0 or len(text) - at > 256 or _SEQUENCES.match(text, at):
        return text, ""
    return text[:at], text[at:]
