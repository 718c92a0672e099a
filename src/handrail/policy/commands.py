"""Rules about commands: globs for each argument, strict where they allow and generous where they forbid."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache

from msgspec import Struct

from handrail.policy.script import HOLE, Word, telling
from handrail.policy.wrappers import LOOKED_THROUGH, SHELLS, Form, program

_SYSTEM = frozenset({"/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin"})
_INLINE = {
    "python": {"-c"}, "python2": {"-c"}, "python3": {"-c"}, "pypy3": {"-c"}, "perl": {"-e", "-E"}, "ruby": {"-e"},
    "node": {"-e", "--eval", "-p", "--print"}, "deno": {"eval"}, "bun": {"-e", "--eval"}, "php": {"-r"}, "lua": {"-e"},
    "osascript": {"-e"}, "pwsh": {"-c", "-Command"}, "Rscript": {"-e"},
}  # fmt: skip
"""how interpreters are given code in place of a file"""

_VALUES = {
    "git": {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env", "--attr-source",
            "--super-prefix"},
    "docker": {"-H", "--host", "-c", "--context", "--config", "-l", "--log-level"},
    "kubectl": {"-n", "--namespace", "--context", "--cluster", "--kubeconfig", "--user", "-s", "--server", "--token"},
    "npm": {"--prefix", "-C", "--registry", "--userconfig", "-w", "--workspace", "--loglevel"},
    "pnpm": {"-C", "--dir", "--filter", "-F"},
    "gh": {"-R", "--repo"},
    "cargo": {"--config", "-Z", "-C", "--manifest-path", "--color"},
    "terraform": set(),
}  # fmt: skip
"""options before a subcommand that take a value"""

_WORDS_ARE_DATA = frozenset({"echo", "printf", "grep", "egrep", "fgrep", "rg", "ag", "ack", "git", "gh", "cat", "ls",
                             "man", "which", "type", "whereis", "head", "tail", "wc", "sed", "awk", "test", "[", "[[",
                             "pip", "pip3", "apt", "apt-get", "brew", "pnpm", "yarn", "cargo", "touch", "mkdir", "cp",
                             "mv", "rm", "chmod", "cd", "tar", "diff", "less", "find", "apk", "dnf", "true",
                             "pytest"})  # fmt: skip
"""programs that run none of their arguments"""

_SAME = {"r": ("R", "--recursive"), "R": ("r", "--recursive"), "f": ("--force",), "--force": ("f",),
         "--recursive": ("r", "R")}  # fmt: skip
_CLUSTER = re.compile(r"-[A-Za-z0-9]{1,4}", re.ASCII)
_LETTERS = re.compile(r"-[A-Za-z0-9]+", re.ASCII)
_VERSION = re.compile(r"(?<=\d)\.\d+$")
_MOST_STEPS = 2000


class Match(IntEnum):
    """Whether a rule names a command."""

    NO = 0
    MAYBE = 1
    YES = 2


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """`*`, `?` and `[…]` as a regular expression in which only `*` stands for a hole."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            out.append(".*")
        elif character == "?":
            out.append(f"[^{HOLE}]")
        elif character == "[" and (end := pattern.find("]", at + 1 + (pattern[at : at + 1] in "!^"))) > 0:
            inside = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[").replace("&&", "&\\&")
            inside = inside.replace("--", "-\\-").replace("||", "|\\|").replace("~~", "~\\~")
            negated = inside[:1] in {"!", "^"}
            out.append(f"[^{HOLE}{inside[1:]}]" if negated else f"[{inside}]")
            at = end + 1
        else:
            out.append(re.escape(character))
    return re.compile("".join(out), re.DOTALL)


class Glob(Struct, frozen=True):
    """One word of a rule."""

    text: str
    wild: bool

    def fits(self, text: str) -> bool:
        """Whether it names `text`, whatever holes of `text` turn out to be."""
        return _glob(self.text).fullmatch(text) is not None if self.wild else self.text == text

    def may_fit(self, word: Word) -> bool:
        """Whether it could name what `word` turns out to be: their ends agree as far as both are certain."""
        if self.fits(word.text):
            return True
        if word.many and word.text == HOLE:
            return True
        if HOLE not in word.text:
            return False
        head, tail = word.text.split(HOLE, 1)[0], word.text.rsplit(HOLE, 1)[1]
        mine = re.split(r"[*?\[]", self.text, maxsplit=1)[0]
        last = re.split(r"[*?\]]", self.text)[-1]
        fits_head = head.startswith(mine) or (mine.startswith(head) if self.wild else self.text.startswith(head))
        fits_tail = tail.endswith(last) or (last.endswith(tail) if self.wild else self.text.endswith(tail))
        return fits_head and (fits_tail or word.many)


class CommandRule(Struct, frozen=True):
    """A rule of the section `shell`, ready to match."""

    text: str
    words: tuple[Glob, ...]
    more: bool
    """ends in `*`: any more arguments"""
    options: tuple[Glob, ...]
    operands: tuple[Glob, ...]
    names: frozenset[str] = frozenset()
    """operands that stand to the letter in whatever the rule forbids"""

    @property
    def anything(self) -> bool:
        """Whether it names every command."""
        return not self.words

    def allows(self, form: Form) -> bool:
        """Whether it names exactly this: word for word, and not one of them uncertain where the rule is not."""
        if self.anything:
            return True
        words = form.words
        count = len(self.words)
        if len(words) < count or (len(words) > count and not self.more) or telling(form.assigns) is not None:
            return False
        if not self.words[0].fits(words[0].text) and not self._system(words[0].text):
            return False
        if not self._literally(words) or any(map(_climbs, self.words, words)):
            return False
        inline = _INLINE.get(_family(program(words[0])))
        if inline is None:
            return True
        given = {word.text for word in words} & inline or {
            flag for word in words[1:] for flag in inline if len(flag) == 2 and _has_letter(word.text, flag[1])
        }
        named = {glob.text for glob in self.words}
        return not given or bool(named & inline)

    def forbids(self, form: Form) -> Match:
        """Whether it may name this: options in any order, other spellings of the program, more arguments."""
        if self.anything:
            return Match.YES
        words = form.words
        if not self.names.issubset([word.text for word in words]) and all(word.sure for word in words):
            return Match.NO
        found = self._from(words)
        if found is Match.NO and program(form.words[0]) not in _WORDS_ARE_DATA:
            for at in range(1, len(words)):
                if self.words[0].fits(program(words[at])) and self._from(words[at:]):
                    return Match.MAYBE
        return found

    def _system(self, text: str) -> bool:
        """Whether `text` is the program's path in a directory of the system."""
        folder, _, name = text.rpartition("/")
        return folder in _SYSTEM and self.words[0].fits(name)

    def _from(self, words: tuple[Word, ...]) -> Match:
        first = words[0]
        name = program(first)
        mine = self.words[0]
        if not (mine.fits(first.text) or mine.fits(name) or mine.fits(name.casefold())):
            return Match.MAYBE if not first.sure and mine.may_fit(first) else Match.NO
        if not first.sure:
            return Match.MAYBE
        if self._literally(words):
            return Match.YES
        options = self._options(words[1:])
        if options is Match.NO:
            return Match.NO
        return min(options, self._operands(words, _VALUES.get(name.casefold())))

    def _literally(self, words: tuple[Word, ...]) -> bool:
        if len(words) < len(self.words):
            return False
        for at in range(1, len(self.words)):
            word = words[at]
            if word.many or not self.words[at].fits(word.text):
                return False
        return True

    def _options(self, words: tuple[Word, ...]) -> Match:
        if not self.options:
            return Match.YES
        texts = [word.text for word in words]
        letters = {letter for text in texts if _LETTERS.fullmatch(text) for letter in text[1:]}
        longs = {text.split("=", 1)[0] for text in texts if text.startswith("--")}
        if all(_given(option, texts, letters, longs) for option in self.options):
            return Match.YES
        return Match.MAYBE if any(not word.sure for word in words) else Match.NO

    def _operands(self, words: tuple[Word, ...], values: set[str] | None) -> Match:
        """Whether the rule's operands are there: names in their places, paths anywhere; options may stand between."""
        best = Match.NO
        steps = 0
        # (word, operand, how sure we are so far)
        open_ends = [(1, 0, Match.YES)]
        while open_ends and steps < _MOST_STEPS:
            steps += 1
            at, operand, so_far = open_ends.pop()
            if operand == len(self.operands):
                best = max(best, so_far)
                if best is Match.YES:
                    break
                continue
            if at >= len(words):
                continue
            open_ends += self._steps(words, at, operand, so_far, values)
        return best if steps < _MOST_STEPS else Match.MAYBE

    def _steps(
        self, words: tuple[Word, ...], at: int, operand: int, so_far: Match, values: set[str] | None
    ) -> list[tuple[int, int, Match]]:
        word, glob = words[at], self.operands[operand]
        text = word.text
        ways: list[tuple[int, int, Match]] = []
        if word.many:
            ways += [(at, operand + 1, Match.MAYBE), (at + 1, operand, Match.MAYBE)]
        if text.startswith("-") and len(text) > 1 and word.sure:
            takes = values is not None and text in values
            if not takes:
                ways.append((at + 1, operand, so_far))
            if takes or (values is None and "=" not in text):
                ways.append((at + 2, operand, so_far if takes else Match.MAYBE))
            return ways
        if glob.fits(text) or (_is_path(glob.text) and glob.fits(_plain_path(text))):
            ways.append((at + 1, operand + 1, so_far))
        elif not word.sure and glob.may_fit(word):
            ways.append((at + 1, operand + 1, Match.MAYBE))
        if _is_path(glob.text):
            ways.append((at + 1, operand, so_far))
        return ways


class CommandRules(Struct, frozen=True):
    """The rules of one list, found by the name of their program."""

    every: tuple[CommandRule, ...]
    by_name: dict[str, tuple[CommandRule, ...]]
    by_glob: tuple[CommandRule, ...]
    """those whose program is a glob, or any"""

    def __iter__(self) -> Iterator[CommandRule]:
        return iter(self.every)

    def near(self, names: tuple[str, ...] | None) -> tuple[CommandRule, ...]:
        """The rules that can name a command of these `names_of` at all."""
        if names is None or not self.by_name:
            return self.every
        found = self.by_glob
        for name in reversed(names):
            if name in self.by_name:
                found = self.by_name[name] + found
        return found


def names_of(form: Form) -> tuple[str, ...] | None:
    """The names by which a rule may know a command's program, its own first; None where that is not certain."""
    first = form.words[0]
    if not first.sure:
        return None
    name = program(first)
    names = {first.text: None, name: None, name.casefold(): None}
    if name not in _WORDS_ARE_DATA:
        names |= dict.fromkeys([word.text.rsplit("/", 1)[-1] for word in form.words[1:]])
    return tuple(names)


def command_rules(texts: Iterable[str], *, allows: bool) -> CommandRules:
    """Read the rules of one list; each is known to be one."""
    every = tuple(command_rule(text, allows=allows) for text in texts)
    by_name: dict[str, tuple[CommandRule, ...]] = {}
    by_glob: list[CommandRule] = []
    for rule in every:
        if rule.anything or rule.words[0].wild:
            by_glob.append(rule)
        else:
            by_name[rule.words[0].text] = (*by_name.get(rule.words[0].text, ()), rule)
    return CommandRules(every, by_name, tuple(by_glob))


def _given(option: Glob, texts: list[str], letters: set[str], longs: set[str]) -> bool:
    if any(option.fits(text) for text in texts) or any(option.fits(text) for text in longs):
        return True
    if option.text.startswith("--"):
        others = _SAME.get(option.text, ())
        return any(other in letters for other in others)
    if not _CLUSTER.fullmatch(option.text):
        return False
    return all(
        letter in letters or any(other in letters or other in longs for other in _SAME.get(letter, ()))
        for letter in option.text[1:]
    )


def _climbs(glob: Glob, word: Word) -> bool:
    """Whether a path leaves the directory that the rule names, by `..` where the rule has a star."""
    return glob.wild and ".." in word.text.split("/") and ".." not in glob.text.split("/")


def _family(name: str) -> str:
    """`python3.12` is a `python3`."""
    return _VERSION.sub("", name) if name[-1:].isdigit() else name


def _has_letter(text: str, letter: str) -> bool:
    return _LETTERS.fullmatch(text) is not None and letter in text[1:]


def _is_path(text: str) -> bool:
    return text.startswith((".", "~")) or "/" in text


def _plain_path(text: str) -> str:
    normal = posixpath.normpath(text) if text else text
    return "/" + normal.lstrip("/") if normal.startswith("/") else normal


_OPERATORS = re.compile(r"[;&|<>`()\n\x00]|\$\(")


@lru_cache(maxsize=4096)
def command_rule(text: str, *, allows: bool) -> CommandRule:
    """Read one rule.

    Raises:
        ValueError: it cannot be a rule; the message says what to write instead.
    """
    if HOLE in text or not text.strip():
        raise ValueError("write a command, such as `git status` or `pytest *`")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError("close the quotes") from error
    if not words or not words[0]:
        raise ValueError("write a command, such as `git status` or `pytest *`")
    if _OPERATORS.search(text) and not any(mark in text for mark in "'\""):
        raise ValueError("name one command; commands that are joined are taken apart and judged one by one")
    if text.strip() == "*":
        return CommandRule(text, (), more=True, options=(), operands=())
    if words[0].startswith(("*", "?", "[")):
        raise ValueError("name the program: only a lone * stands for every command")
    if allows and (words[0] in LOOKED_THROUGH or (words[0] in SHELLS and words[1:2] == ["-c"])):
        raise ValueError(f"name the command that {words[0]} runs: {words[0]} is looked through")
    more = len(words) > 1 and words[-1] == "*"
    globs = tuple(Glob(word, any(mark in word for mark in "*?[")) for word in (words[:-1] if more else words))
    options = tuple(glob for glob in globs[1:] if glob.text.startswith("-") and glob.text not in {"-", "--"})
    operands = tuple(glob for glob in globs[1:] if not glob.text.startswith("-") or glob.text == "-")
    names = frozenset(glob.text for glob in operands if not glob.wild and not _is_path(glob.text))
    return CommandRule(text, globs, more, options, operands, names)
