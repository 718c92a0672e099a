"""The parts of shell words that can be read by themselves: quotes and parameters."""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]", re.ASCII)
# `${x@P}`, `${!x}`, `${a[…]}`, `${x:y}` and sums of variables can run code that a variable holds
# (https://www.gnu.org/software/bash/manual/html_node/Shell-Arithmetic.html); what is left here cannot
_BRACED = re.compile(
    r"#?(?:[A-Za-z_]\w*|[0-9@*#?$!-]+)(?:\[[@*]\])?(?:(?::[=?+-]|: ?-?\d|[#%/^,+=?-])[^`$\\'\"@{}\[\]<>]*)?", re.ASCII
)
_SUM = re.compile(r"[\d\s+*/%()<>=&|!~^?:-]*", re.ASCII)
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"'}
_CODES = re.compile(r"x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|([0-7]{1,3})")


class Unclear(Exception):
    """The rest of a text cannot be read; the message says why."""


def single(text: str, at: int) -> tuple[str, int]:
    """`'…'` at `at`: what it holds, and where it ends."""
    end = text.find("'", at + 1)
    if end < 0:
        raise Unclear("a quote is open")
    return text[at + 1 : end], end + 1


def backslash(text: str, at: int) -> tuple[str, int]:
    """A backslash outside of quotes and what it protects."""
    following = text[at + 1 : at + 2]
    if not following:
        raise Unclear("a backslash stands at the end")
    return ("" if following == "\n" else following), at + 2


def ansi(text: str, at: int) -> tuple[str, int]:
    """`$'…'` (https://www.gnu.org/software/bash/manual/html_node/ANSI_002dC-Quoting.html).

    A quote inside of it is read in another way by other shells, so it is unclear.
    """
    at += 2
    out: list[str] = []
    while at < len(text):
        character = text[at]
        at += 1
        if character == "'":
            return "".join(out), at
        if character != "\\":
            out.append(character)
            continue
        code = _CODES.match(text, at)
        if code is not None:
            number = int(code[1] or code[2] or code[3], 8 if code[3] else 16)
            if not 0x20 <= number < 0x7F:
                raise Unclear("`$'…'` holds a character that is not printable ASCII")
            out.append(chr(number))
            at = code.end()
            continue
        simple = _ESCAPES.get(text[at : at + 1])
        if simple is None:
            raise Unclear("`$'…'` holds an unusual escape")
        out.append(simple)
        at += 1
    raise Unclear("a quote is open")


def parameter(text: str, at: int) -> tuple[int, bool]:
    """`$x`, `${…}` or `$((…))` at `at`: where it ends (`at` itself: a plain dollar), and whether it sets a variable."""
    if text.startswith("$((", at):
        end = text.find("))", at)
        if end < 0 or _SUM.fullmatch(text, at + 3, end) is None:
            raise Unclear("a sum with expansions in it is not taken apart")
        return end + 2, "=" in text[at:end]
    if text.startswith("${", at):
        braced = _BRACED.match(text, at + 2)
        if braced is None or not text.startswith("}", braced.end()):
            raise Unclear("an expansion is not taken apart")
        return braced.end() + 1, "=" in braced[0]
    if text.startswith(("$[", "$\\\n"), at):
        raise Unclear("an expansion is not taken apart")
    found = _PARAMETER.match(text, at + 1)
    return (at, False) if found is None else (found.end(), False)
