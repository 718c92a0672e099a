"""Takes shell text apart into the simple commands that it runs, whatever holds them together.

A reader of a part of the shell's grammar (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html)
that knows what it does not know: where it cannot say with certainty what would be run, it says so (`Script.doubts`),
and no rule that allows something can match. It errs on one side only: a command that the shell would run is either
in `commands`, or there is a doubt.
"""

from __future__ import annotations

import re

from msgspec import Struct, field

from handrail.policy.quoting import Unclear, ansi, backslash, parameter, single
from handrail.policy.script import HOLE, Redirect, Script, Simple, Word, may_tell

LONGEST = 65_536
"""characters that are looked at; a longer text is a doubt"""

_DEEPEST = 12

# what a shell, a terminal or a person may each read in another way: control characters, spaces that are none to a
# shell, direction marks, private use (where HOLE lives)
_STRANGE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u3000\u3164\ue000-\uf8ff\ufeff\uffa0\ufff0-\uffff\ud800-\udfff]"
    "|[\U000e0000-\U0010ffff]"
)
_PLAIN = re.compile(r"[^\s\\'\"`$&|;<>()*?\[{}#!~\n]+")
# words side by side in which no character means anything to a shell; each ends where it can be seen
_RUN = re.compile(r"[^\\'\"`$&|;<>()*?\[{}#!~\n]+(?:(?<=[ \t])|(?=[\n;|)])|\Z)")
_QUOTED = re.compile(r"""(?:'([^']*+)'|"([^"\\$`]*+)")(?=[ \t\n;|)]|\Z)""")
_DUPLICATE = re.compile(r"\d*[<>]&(?:\d+-?|-)(?=[ \t\n;|)]|\Z)")
_DOUBLE = re.compile(r'[^"\\$`]+')
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_OPERATOR = re.compile(r"&&|\|\||\|&|;;&|;;|;&|[;&|\n]")
_REDIRECT = re.compile(r"(\d*)(<<<|<<-|<<|<>|<&|>\||>>|>&|&>>|&>|<|>)")
_NUMBER = re.compile(r"\d+-?|-")
_ASSIGN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTION = re.compile(r"[A-Za-z_][\w.-]*[ \t]*\([ \t]*\)")
_BRACES = re.compile(r"\{[^{}\s$`\\'\"<>();|&]*(?:,|\.\.)[^{}\s$`\\'\"<>();|&]*\}")
_BRACKET = re.compile(r"\[{1,2}(?=\s|$)")

# words that begin or go on with a compound command: a new command may follow each
_LEADS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time"})
_CLOSES = frozenset({"fi", "done", "}", "esac"})
_RESERVED = _LEADS | _CLOSES | {"function", "for", "case", "coproc", "select"}

_BY_ITSELF = {"'": single, "\\": backslash}


class _Found(Struct):
    commands: list[Simple] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def parse(text: str) -> Script:
    """Take `text` apart. Never raises."""
    found = _Found()
    if len(text) > LONGEST:
        found.doubts.append(f"it is longer than {LONGEST} characters")
    elif not (text.isascii() and text.isprintable()) and (strange := _STRANGE.search(text)):
        found.doubts.append(f"it holds the unusual character U+{ord(strange[0]):04X}")
    else:
        try:
            reader = _Reader(text, found, 0)
            reader.list_until("")
        except Unclear as unclear:
            found.doubts.append(str(unclear))
    return Script(tuple(found.commands), tuple(found.redirects), tuple(dict.fromkeys(found.doubts)))


class _Pending(Struct):
    delimiter: str
    quoted: bool
    tabs: bool


class _Reader:
    """Reads one text from left to right; nested texts (`$(…)`) have a reader each or share this one."""

    def __init__(self, text: str, found: _Found, depth: int, folder: str | None = "") -> None:
        if depth > _DEEPEST:
            raise Unclear("it is nested too deeply")
        self.text = text
        self.at = 0
        self._found = found
        self._depth = depth
        self._folder = folder
        self._heredocs: list[_Pending] = []

    # --- lists -------------------------------------------------------------------------------------------------------

    def list_until(self, end: str) -> None:
        """Read commands up to `end` (`)` or the end of the text), which is eaten."""
        went: str | None = None
        text, length = self.text, len(self.text)
        while True:
            if self.at < length and text[self.at] in " \t\\#":
                self._skip()
            if self.at >= length:
                if end:
                    raise Unclear("a bracket is open")
                if self._heredocs:
                    self._bodies(last=True)
                return
            if end and text[self.at] == end:
                self.at += 1
                return
            if text[self.at] in ";&|\n" and (operator := _OPERATOR.match(text, self.at)) is not None:
                self.at = operator.end()
                self._after(operator[0], went)
                went = None
                continue
            if text[self.at] == ")":
                raise Unclear("a bracket is closed that was not open")
            went = self._command()

    def _after(self, operator: str, went: str | None) -> None:
        """Between two commands: where a change of directory leads, and here-documents at a line's end."""
        if went is not None:
            known = operator == "&&" and self._folder is not None and HOLE not in went and not went.startswith("-")
            self._folder = _joined(self._folder or "", went) if known else None
        if operator == "\n":
            self._bodies()
        elif operator.startswith(";;") or operator == ";&":
            raise Unclear("a `case` is not taken apart")

    def _skip(self) -> None:
        text = self.text
        if text.startswith((" ", "\t", "\\\n"), self.at) and (blanks := _BLANKS.match(text, self.at)) is not None:
            self.at = blanks.end()
        if text.startswith("#", self.at):
            newline = self.text.find("\n", self.at)
            self.at = len(self.text) if newline < 0 else newline

    def _command(self) -> str | None:
        """Read one command, simple or compound; returns the directory it changes to, if it does."""
        text = self.text
        if "(" in text and self._brackets():
            return None
        words: list[Word] = []
        assigns: list[str] = []
        fresh = True
        both = False
        while True:
            if not both and self._run(words, fresh=fresh):
                fresh = False
            if not self._more():
                break
            marked = self.at
            if self._redirect():
                fresh = False
                both = both or text.startswith("&", marked)
                continue
            if both:  # to a POSIX shell `&>` ends the command
                raise Unclear("a word stands after `&>`")
            if not words and (name := self._assignment()) is not None:
                assigns.append(name)
                fresh = False
                continue
            raw = self.at
            word = self._word(first=fresh)
            if fresh and self._keyword(text[raw : self.at]):
                return None
            fresh = False
            words.append(word)
        if not words and not assigns:
            return None
        self._found.commands.append(Simple(tuple(words), tuple(assigns)))
        return _destination(words)

    def _brackets(self) -> bool:
        """Read `(…)` or the head of a function, if one stands here."""
        if self.text.startswith("((", self.at):
            raise Unclear("`((` is not taken apart")
        if self.text[self.at] == "(":
            self.at += 1
            before = self._folder
            self.list_until(")")
            self._folder = before
            while self._more() and self._redirect():
                pass
            return True
        function = _FUNCTION.match(self.text, self.at)
        if function is not None:
            self.at = function.end()
        return function is not None

    def _run(self, words: list[Word], *, fresh: bool) -> bool:
        """Read words in which nothing but quotes round all of one means anything: most words are such."""
        text, at, before = self.text, self.at, len(words)
        while (run := _RUN.match(text, at)) is not None:
            plain = run[0].split()
            if not words and plain and ("=" in plain[0] or (fresh and plain[0] in _RESERVED)):
                break
            words += map(Word, plain)
            at = run.end()
            if not text.startswith(("'", '"'), at) or (quoted := _QUOTED.match(text, at)) is None:
                break
            words.append(Word(quoted[quoted.lastindex or 1]))
            at = quoted.end()
        self.at = at
        return len(words) > before

    def _more(self) -> bool:
        """Whether the command under way goes on here."""
        text = self.text
        if text.startswith((" ", "\t", "\\\n"), self.at) and (blanks := _BLANKS.match(text, self.at)) is not None:
            self.at = blanks.end()
        if self.at >= len(text) or text[self.at] in ";|\n)":
            return False
        character = text[self.at]
        if character == "&":
            return text.startswith("&>", self.at)
        if character == "#" and (self.at == 0 or text[self.at - 1] in " \t\n;|&()<>"):
            self._skip()
            return False
        if character == "(":
            raise Unclear("a bracket stands where none is expected")
        return True

    def _keyword(self, raw: str) -> bool:
        """Step over a reserved word; True where a new command may follow."""
        if raw not in _RESERVED:
            return False
        if raw == "function":
            self._more()
            self._word()
            return True
        if raw in _LEADS:
            if raw == "time" and self._more() and self.text[self.at] == "-":
                raise Unclear("options of `time` are not taken apart")
            return True
        if raw in _CLOSES:
            while self._more() and self._redirect():
                pass
            return True
        if raw == "for":
            self._for()
            return True
        if raw in {"case", "coproc", "select"}:
            raise Unclear(f"a `{raw}` is not taken apart")
        return False

    def _for(self) -> None:
        self._more()
        name = _NAME.match(self.text, self.at)
        if name is None:
            raise Unclear("a `for` without a plain name is not taken apart")
        if may_tell(name[0]):
            self._found.doubts.append(f"it sets {name[0]}")
        self.at = name.end()
        if not self._more():
            return
        raw = self.at
        self._word()
        if self.text[raw : self.at] != "in":
            raise Unclear("a `for` without `in` is not taken apart")
        while self._more():
            self._word(first=False)

    def _assignment(self) -> str | None:
        found = _ASSIGN.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        if self.at < len(self.text) and self.text[self.at] == "(":
            raise Unclear("a list in a variable is not taken apart")
        if self.at < len(self.text) and self.text[self.at] not in " \t\n;|&<>)":
            self._word()
        return found[1]

    # --- redirections ------------------------------------------------------------------------------------------------

    def _redirect(self) -> bool:
        found = _REDIRECT.match(self.text, self.at)
        if found is None:
            return False
        if (duplicate := _DUPLICATE.match(self.text, self.at)) is not None:
            self.at = duplicate.end()
            return True
        operator = found[2]
        if self.text.startswith("(", found.end()) and operator in {"<", ">"}:
            return False  # process substitution: part of a word
        self.at = found.end()
        if not self._more():
            raise Unclear("a redirection leads nowhere")
        if operator in {"<<", "<<-"}:
            raw = self.at
            word = self._word()
            spelt = self.text[raw : self.at]
            if not word.sure or "\n" in spelt:
                raise Unclear("the end of a here-document is not certain")
            self._heredocs.append(_Pending(word.text, any(mark in spelt for mark in "\\'\""), operator == "<<-"))
            return True
        word = self._word()
        if operator == "<<<":
            return True
        if operator not in {">&", "<&"} or _NUMBER.fullmatch(word.text) is None:
            self._found.redirects.append(Redirect(word, operator != "<", self._folder))
        return True

    def _bodies(self, *, last: bool = False) -> None:
        """Step over the here-documents that begin on the line that has ended."""
        pending, self._heredocs = self._heredocs, []
        for document in pending:
            lines: list[str] = []
            while True:
                if self.at >= len(self.text):
                    if not last:
                        raise Unclear("a here-document does not end")
                    break
                newline = self.text.find("\n", self.at)
                end = len(self.text) if newline < 0 else newline
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                if (line.lstrip("\t") if document.tabs else line) == document.delimiter:
                    break
                lines.append(line)
                if newline < 0:
                    raise Unclear("a here-document does not end")
            if not document.quoted:
                body = _Reader("\n".join(lines), self._found, self._depth + 1, self._folder)
                body.expansions()
        if pending and last:
            raise Unclear("a here-document does not end")

    def expansions(self) -> None:
        """Read a text in which only `$`, backquotes and backslashes mean something."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\":
                self.at += 2
            elif character == "$":
                self._dollar()
            elif character == "`":
                self._backquote()
            else:
                self.at += 1

    # --- words -------------------------------------------------------------------------------------------------------

    def _word(self, *, first: bool = True) -> Word:
        text = self.text
        out: list[str] = []
        many = False
        start = self.at
        while self.at < len(text):
            plain = _PLAIN.match(text, self.at)
            if plain is not None:
                out.append(plain[0])
                self.at = plain.end()
                continue
            character = text[self.at]
            if character in " \t\n;|&":
                break
            if character in "<>":
                if not text.startswith("(", self.at + 1):
                    break
                self._found.doubts.append("it uses a process substitution")
                self.at += 2
                self._nested(")")
                out.append(HOLE)
                continue
            if character in "()":
                if character == "(":
                    raise Unclear("a bracket stands in the middle of a word")
                break
            piece, splits = self._piece(character)
            out.append(piece)
            many = many or splits
        if self.at == start:
            raise Unclear("a word was expected")
        if not first and text[start : self.at] == "{":
            raise Unclear("a brace stands where none is expected")
        return Word("".join(out), many)

    def _piece(self, character: str) -> tuple[str, bool]:
        """One quoted or special part of a word: its text, and whether the word may fall apart at it."""
        if character == '"':
            return self._double()
        if reader := _BY_ITSELF.get(character):
            piece, self.at = reader(self.text, self.at)
            return piece, False
        if character == "$":
            if self.text.startswith("$'", self.at):
                piece, self.at = ansi(self.text, self.at)
                return piece, False
            if self.text.startswith('$"', self.at):
                raise Unclear('`$"` is not taken apart')
            return self._dollar()
        if character == "`":
            self._backquote()
            return HOLE, True
        if character in "*?[" and _BRACKET.match(self.text, self.at) is None:
            self.at += 1
            return HOLE, True
        if character == "{" and (braces := _BRACES.match(self.text, self.at)) is not None:
            self.at = braces.end()
            return HOLE, True
        if character == "{" and not self.text.startswith(("{}", "{ ", "{\n", "{\t"), self.at):
            raise Unclear("braces are not taken apart")
        self.at += 1
        return character, False

    def _double(self) -> tuple[str, bool]:
        self.at += 1
        out: list[str] = []
        many = False
        while self.at < len(self.text):
            if (plain := _DOUBLE.match(self.text, self.at)) is not None:
                out.append(plain[0])
                self.at = plain.end()
                continue
            character = self.text[self.at]
            if character == '"':
                self.at += 1
                return "".join(out), many
            if character == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                if following in {"$", "`", '"', "\\"}:
                    out.append(following)
                elif following != "\n":
                    out.append("\\" + following)
                self.at += 2
            elif character == "$":
                start = self.at
                out.append(self._dollar()[0])
                many = many or "@" in self.text[start : self.at]
            else:
                self._backquote()
                out.append(HOLE)
        raise Unclear("a quote is open")

    def _dollar(self) -> tuple[str, bool]:
        if self.text.startswith("$(", self.at) and not self.text.startswith("$((", self.at):
            self.at += 2
            self._nested(")")
            return HOLE, True
        end, sets = parameter(self.text, self.at)
        if sets:
            self._found.doubts.append("an expansion sets a variable")
        if end == self.at:
            self.at += 1
            return "$", False
        self.at = end
        return HOLE, True

    def _nested(self, end: str) -> None:
        """Commands in brackets, read by this reader: they start in this directory and leave it as it is."""
        before, waiting, start = self._folder, self._heredocs, self.at
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unclear("it is nested too deeply")
        self._heredocs = []
        self.list_until(end)
        if self._heredocs or (waiting and "\n" in self.text[start : self.at]):
            raise Unclear("a here-document does not end where it can be seen")
        self._depth -= 1
        self._folder, self._heredocs = before, waiting

    def _backquote(self) -> None:
        out: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "`":
                self.at += 1
                _Reader("".join(out), self._found, self._depth + 1, self._folder).list_until("")
                return
            if character == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                if following == '"':
                    raise Unclear("quotes inside of backquotes are not taken apart")
                out.append(following if following in {"$", "`", "\\"} else "\\" + following)
                self.at += 2
            else:
                out.append(character)
                self.at += 1
        raise Unclear("a backquote is open")


def _destination(words: list[Word]) -> str | None:
    """Where `cd` goes; a hole where it cannot be known."""
    if not words or words[0].text not in {"cd", "pushd", "popd"}:
        return None
    plain = words[0].text == "cd" and len(words) == 2 and words[1].sure
    return words[1].text if plain and not words[1].text.startswith("~") else HOLE


def _joined(folder: str, more: str) -> str:
    return more if more.startswith("/") or not folder else f"{folder}/{more}"
