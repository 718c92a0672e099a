"""Looks through commands that run other commands: `bash -c`, `env`, `xargs`, `sudo`, `find -exec`, `timeout`."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from handrail.policy.script import HOLE, Redirect, Script, Word, telling
from handrail.policy.shellwords import parse

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "rbash", "fish"})

INERT = frozenset({"cd", "true", "false", ":", "echo", "printf", "test", "[", "[[", "]]", "pwd", "sleep", "wait",
                   "exit", "return", "break", "continue", "shift", "umask", "ulimit", "read", "set", "export",
                   "readonly", "local"})  # fmt: skip
"""commands that do nothing to anything but the shell they run in; beside others they need no rule of their own"""

_FILTERS = frozenset({"head", "tail", "wc", "cat", "nl", "tac", "rev"})
"""programs that, without a file, only pass on what they are given"""

LOOKED_THROUGH: dict[str, tuple[frozenset[str], int]] = {
    "timeout": (frozenset({"-k", "--kill-after", "-s", "--signal"}), 1),
    "nohup": (frozenset(), 0),
    "nice": (frozenset({"-n", "--adjustment"}), 0),
    "ionice": (frozenset({"-c", "--class", "-n", "--classdata"}), 0),
    "chrt": (frozenset({"-T", "-P", "-D"}), 1),
    "taskset": (frozenset(), 1),
    "stdbuf": (frozenset({"-i", "-o", "-e"}), 0),
    "setsid": (frozenset(), 0),
    "time": (frozenset({"-f", "--format"}), 0),
    "command": (frozenset(), 0),
    "builtin": (frozenset(), 0),
    "exec": (frozenset({"-a"}), 0),
    "noglob": (frozenset(), 0),
    "nocorrect": (frozenset(), 0),
    "-": (frozenset(), 0),
    "and": (frozenset(), 0),
    "or": (frozenset(), 0),
    "not": (frozenset(), 0),
    "busybox": (frozenset(), 0),
    "toybox": (frozenset(), 0),
    "caffeinate": (frozenset({"-t", "-w"}), 0),
    "chronic": (frozenset(), 0),
    "unbuffer": (frozenset(), 0),
    "env": (frozenset({"-u", "--unset"}), 0),
    "xargs": (
        frozenset({"-I", "-n", "-P", "-L", "-d", "-a", "-E", "-s", "--max-args", "--max-procs", "--delimiter",
                   "--arg-file", "--max-lines", "--max-chars"}),
        0,
    ),
}  # fmt: skip
"""what is nothing but a way to run another command: options that take a value, and operands before the command"""

_STOPPING = {
    "env": ("-S", "--split-string", "-C", "--chdir"),
    "time": ("-o", "--output"),
    "taskset": ("-p", "--pid"),
    "ionice": ("-p", "--pid"),
    "busybox": ("--install",),
}
"""options after which it is no longer plain what is run"""

_RAISING = frozenset({"sudo", "doas"})
_RAISING_VALUES = frozenset({"-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-r", "-t", "-T",
                             "-U", "-D", "--chdir", "-R", "--chroot"})  # fmt: skip
_TEXTS = frozenset({"ssh", "su", "runuser", "watch", "script", "parallel", "flock", "tmux", "screen", "entr", "docker",
                    "podman", "kubectl", "nsenter", "wsl", "expect"})  # fmt: skip
"""programs that take a script as one of their arguments"""

_MEANING = frozenset({"source", ".", "alias", "unalias", "shopt", "enable", "hash", "complete", "compgen", "bind",
                      "let", "declare", "typeset", "unset", "mapfile", "readarray", "autoload", "zmodload", "emulate",
                      "fc", "repeat", "abbr", "function", "getopts", "vared", "eval", "coproc", "case", "foreach",
                      "end", "setopt", "unsetopt", "limit", "sched", "disable", "begin", "switch",
                      "argparse"})  # fmt: skip
"""builtins of some shell that change what later words mean, or run what cannot be seen"""

_SETTING = frozenset({"export", "readonly", "local"})
_TELLING = _SETTING | {"set", "read", "printf", "test", "[", "[["}
"""builtins that do so only with some arguments"""
_SET = re.compile(r"[-+][euxoEC]+|pipefail|errexit|nounset|xtrace|posix", re.ASCII)
_SPECIAL = frozenset(
    {"find", "eval", "trap", *SHELLS, *LOOKED_THROUGH, *_RAISING, *_TEXTS, *_MEANING, *_TELLING},
)
"""every name that means more here than a program that does something of its own"""
_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_NAMED = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_OPTION_C = re.compile(r"-[A-Za-z]*c", re.ASCII)
_TESTS_SUMS = frozenset({"-eq", "-ne", "-lt", "-gt", "-le", "-ge", "-v", "-R"})
_DEEPEST = 8


class Form(Struct, frozen=True):
    """One reading of a command. Where `acts`, a rule must allow it; else only `ask` and `deny` look at it."""

    words: tuple[Word, ...]
    assigns: tuple[str, ...]
    acts: bool


class Forms(Struct, frozen=True):
    """All that a script would run, wrappers looked through."""

    forms: tuple[Form, ...]
    redirects: tuple[Redirect, ...]
    doubts: tuple[str, ...]


def inert(form: Form) -> bool:
    """Whether a command does nothing to anything outside of its own shell or pipe."""
    name = form.words[0].text
    if name in INERT:
        return True
    return name in _FILTERS and all(
        word.sure and (word.text.startswith(("-", "+")) or word.text.isdigit()) for word in form.words[1:]
    )


def program(word: Word) -> str:
    """The name of the program that a command word means, without its directory."""
    return word.text.rsplit("/", 1)[-1]


@lru_cache(maxsize=4096)
def forms(text: str) -> Forms:
    """The forms of a shell text."""
    gathered = _Gathered()
    gathered.script(parse(text), 0)
    return gathered.done()


@lru_cache(maxsize=4096)
def forms_of_argv(argv: tuple[str, ...]) -> Forms:
    """The forms of a command that is given in words."""
    gathered = _Gathered()
    if any(HOLE in word for word in argv):
        gathered.doubts.append("it holds an unusual character")
    gathered.command(tuple(Word(word) for word in argv), (), 0, acts=True)
    return gathered.done()


class _Gathered:
    def __init__(self) -> None:
        self.forms: list[Form] = []
        self.redirects: list[Redirect] = []
        self.doubts: list[str] = []

    def done(self) -> Forms:
        return Forms(tuple(self.forms), tuple(self.redirects), tuple(dict.fromkeys(self.doubts)))

    def script(self, script: Script, depth: int, assigns: tuple[str, ...] = (), *, acts: bool = True) -> None:
        """Every command of a script; `assigns` are set around it."""
        if depth > _DEEPEST:
            self.doubts.append("it is nested too deeply")
            return
        if acts:
            self.doubts += script.doubts
        self.redirects += script.redirects
        for simple in script.commands:
            if simple.words:
                self.command(simple.words, assigns + simple.assigns, depth, acts=acts)
            elif acts and (name := telling(simple.assigns)) is not None:
                self.doubts.append(f"it sets {name} for what follows")

    def command(self, words: tuple[Word, ...], assigns: tuple[str, ...], depth: int, *, acts: bool) -> None:
        """One command and whatever it runs in turn."""
        if depth > _DEEPEST:
            self.doubts.append("it is nested too deeply")
            return
        first = words[0]
        name = program(first)
        if acts and (not first.sure or first.text.startswith(("=", "~")) or not name):
            self.doubts.append("the name of the program is only known when it runs")
        if name not in _SPECIAL:
            self.forms.append(Form(words, assigns, acts))
            return
        if acts and (doubt := _doubt(name, words)) is not None:
            self.doubts.append(doubt)
        if name in SHELLS:
            self._shell(words, assigns, depth, acts=acts)
        elif name in LOOKED_THROUGH:
            self._through(name, words, assigns, depth, acts=acts)
        else:
            self.forms.append(Form(words, assigns, acts))
            self._inside(name, words, assigns, depth, acts=acts)

    def _inside(self, name: str, words: tuple[Word, ...], assigns: tuple[str, ...], depth: int, *, acts: bool) -> None:
        """Commands among the arguments of a program that does something of its own as well."""
        if name in _RAISING:
            rest, set_here = _rest(words[1:], _RAISING_VALUES, 0)
            if rest:
                self.command(rest, assigns + set_here, depth + 1, acts=acts)
        elif name == "find":
            for start in (at for at, word in enumerate(words) if word.text in _EXEC):
                if inner := _until_end(words[start + 1 :]):
                    self.command(inner, assigns, depth + 1, acts=acts)
        elif name in {"eval", "trap"}:
            text = " ".join(word.text for word in words[1 : None if name == "eval" else 2])
            self.script(parse(text), depth + 1, acts=acts)
        elif name in _TEXTS:
            for before, word in pairwise(words):
                if word.sure and not word.text.isalnum():
                    told = _OPTION_C.fullmatch(before.text) is not None or before.text == "--command"
                    self.script(parse(word.text), depth + 1, acts=acts and told)

    def _shell(self, words: tuple[Word, ...], assigns: tuple[str, ...], depth: int, *, acts: bool) -> None:
        at = 1
        while at < len(words) and words[at].text.startswith(("-", "+")) and words[at].sure:
            option = words[at].text
            if option in {"--rcfile", "--init-file"}:
                self.doubts.append("the shell reads another file first")
            if _OPTION_C.match(option):
                self._shell_text(words, at, assigns, depth, acts=acts)
                return
            at += 2 if option in {"-o", "+o", "-O", "+O", "--rcfile", "--init-file"} else 1
        plain = at < len(words) and words[at].sure
        if acts and not plain:
            self.doubts.append("what the shell reads cannot be seen")
        if "BASH_ENV" in assigns or "ENV" in assigns:
            self.doubts.append("the shell reads another file first")
        self.forms.append(Form(words, assigns, acts))

    def _shell_text(
        self, words: tuple[Word, ...], at: int, assigns: tuple[str, ...], depth: int, *, acts: bool
    ) -> None:
        self.forms.append(Form(words, assigns, acts=False))
        following = [word for word in words[at + 1 :] if not word.text.startswith(("-", "+"))][:1]
        if not following:
            self.doubts.append("what the shell reads cannot be seen")
            return
        text = following[0]
        if not text.sure:
            # holes of the outer text stand for anything, so nothing of the inner one is certain
            self.doubts.append("what the shell runs is only known when it runs")
            self.script(parse(text.text.replace(HOLE, "$x")), depth + 1, assigns, acts=False)
            return
        self.script(parse(text.text), depth + 1, assigns, acts=acts)

    def _through(self, name: str, words: tuple[Word, ...], assigns: tuple[str, ...], depth: int, *, acts: bool) -> None:
        self.forms.append(Form(words, assigns, acts=False))
        values, operands = LOOKED_THROUGH[name]
        rest, set_here = _rest(words[1:], values, operands)
        if name == "command" and len(words) > 1 and words[1].text in {"-v", "-V"}:
            self.forms.append(Form((Word("true"),), (), acts))
            return
        stopping = _STOPPING.get(name, ())
        passed = words[1 : len(words) - len(rest)]
        if any(word.text.startswith(stopping) or not word.sure for word in passed if stopping or word.many):
            self.doubts.append(f"the options of {name} leave open what it runs")
        if not rest:
            # `exec > file`, `nohup` or `env` alone run nothing; xargs runs echo
            self.forms.append(Form((Word("true"),), assigns, acts))
            return
        if name == "xargs":
            rest = _replaced(passed, rest)
        self.command(rest, assigns + set_here, depth + 1, acts=acts)


def _rest(words: tuple[Word, ...], values: frozenset[str], operands: int) -> tuple[tuple[Word, ...], tuple[str, ...]]:
    """What follows the options, assignments and operands of a wrapper, and the names that it sets."""
    at = 0
    names: list[str] = []
    while at < len(words):
        text = words[at].text
        if text == "--":
            at += 1
            break
        if text.startswith("-") and text != "-":
            at += 2 if text in values else 1
        elif (named := _NAMED.match(text)) is not None:
            names.append(named[1])
            at += 1
        else:
            break
    while at < len(words) and (named := _NAMED.match(words[at].text)) is not None:
        names.append(named[1])
        at += 1
    return words[at + operands :], tuple(names)


def _replaced(options: tuple[Word, ...], rest: tuple[Word, ...]) -> tuple[Word, ...]:
    """The command of xargs with what it reads: at the end, or in the place that `-I` names."""
    for at, option in enumerate(options):
        if option.text.startswith(("-I", "-i", "-J", "--replace")):
            given = (
                option.text.removeprefix("--replace").lstrip("=") if option.text.startswith("--") else option.text[2:]
            )
            following = options[at + 1].text if option.text in {"-I", "-J"} and at + 1 < len(options) else ""
            mark = given or following or "{}"
            return tuple(Word(word.text.replace(mark, HOLE), word.many) for word in rest)
    return (*rest, Word(HOLE, many=True))


def _until_end(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The command of a `find -exec`; `{}` stands for a path."""
    out: list[Word] = []
    for word in words:
        if word.text in {";", "+"}:
            break
        out.append(Word(word.text.replace("{}", HOLE), word.many))
    return tuple(out)


def _doubt(name: str, words: tuple[Word, ...]) -> str | None:
    """Why a command leaves open what it, or what follows it, means."""
    if name in _MEANING:
        return f"`{name}` can change what is run"
    if name not in _TELLING:
        return None
    texts = [word.text for word in words[1:]]
    if name == "set" and not all(_SET.fullmatch(text) for text in texts):
        return "`set` can change what words mean"
    if name in _SETTING:
        names = tuple(text.split("=", 1)[0] for text in texts if not text.startswith("-"))
        if (set_here := telling(names)) is not None:
            return f"it sets {set_here} for what follows"
    if name == "read" and telling(tuple(text for text in texts if not text.startswith("-"))) is not None:
        return "it sets a variable for what follows"
    if name in {"printf", "test", "["} and "-v" in texts:
        return f"`{name} -v` can run what a variable holds"
    if name == "[[" and (_TESTS_SUMS & set(texts) or "]]" in texts[:-1]):
        return "a sum in `[[` can run what a variable holds"
    return None
