"""The reader of shell text beside the shell itself: whatever bash and dash run is found, or there is a doubt."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from handrail.policy.script import HOLE
from handrail.policy.shellwords import LONGEST, parse


def texts(script: str) -> list[str]:
    return [" ".join(word.text for word in simple.words) for simple in parse(script).commands]


@pytest.mark.parametrize(
    ("script", "commands"),
    [
        ("a b", ["a b"]),
        ("  a\tb  ", ["a b"]),
        ("a;b", ["a", "b"]),
        ("a&&b||c|d&e", ["a", "b", "c", "d", "e"]),
        ("a\nb\n\n\nc", ["a", "b", "c"]),
        ("a |& b", ["a", "b"]),
        ("(a; b) && c", ["a", "b", "c"]),
        ("{ a; b; }; c", ["a", "b", "c"]),
        ("a 'b c' \"d e\" f\\ g", ["a b c d e f g"]),
        ("a''b \"\"c", ["ab c"]),
        ("a \\\n b", ["a b"]),
        ("a\\\nb", ["ab"]),
        ("a # b; c\nd", ["a", "d"]),
        ("a#b", ["a#b"]),
        ("if a; then b; elif c; then d; else e; fi; f", ["a", "b", "c", "d", "e", "f"]),
        ("while a; do b; done < c", ["a", "b"]),
        ("until a; do b; done", ["a", "b"]),
        ("for x in 1 2; do a $x; done; b", [f"a {HOLE}", "b"]),
        ("for x in $(a); do b; done", ["a", "b"]),
        ("f() { a; }; f", ["a", "f"]),
        ("function f { a; }; f", ["a", "f"]),
        ("! a", ["a"]),
        ("time a b", ["a b"]),
        ("a $(b $(c))", ["c", f"b {HOLE}", f"a {HOLE}"]),
        ("a `b \\`c\\``", ["c", f"b {HOLE}", f"a {HOLE}"]),
        ('a "x $(b) y"', ["b", f"a x {HOLE} y"]),
        ("a '$(b)'", ["a $(b)"]),
        ("x=1 y=$(b) a", ["b", "a"]),
        ("a > b 2>&1 < c", ["a"]),
        ("> b a", ["a"]),
        ("a &> b", ["a"]),
        ("a <<E\nb\nE\nc", ["a", "c"]),
        ("a <<'E'\n$(b)\nE\nc", ["a", "c"]),
        ("a <<E\n$(b)\nE\nc", ["a", "b", "c"]),
        ("a <<-E | d\n\tx\n\tE\nc", ["a", "d", "c"]),
        ("a <<E <<F\n1\nE\n2\nF\nc", ["a", "c"]),
        ("a $(b <<E\n1\nE\n) c", ["b", f"a {HOLE} c"]),
        ('a <<< "$(b)"', ["b", "a"]),
        ("$'\\x67it' push", ["git push"]),
        ("a ${x} ${x:-y} ${#x} $1 $? $$ $((1+2))", [f"a {' '.join([HOLE] * 7)}"]),
        ("a *.py [ab] ?", [f"a {HOLE}.py {HOLE}ab] {HOLE}"]),
        ("a {b,c}", [f"a {HOLE}"]),
        ("find . -exec a {} \\;", ["find . -exec a {} ;"]),
        ("[[ -f a ]] && b", ["[[ -f a ]]", "b"]),
        ("[ -f a ]", ["[ -f a ]"]),
        ("for x; do a; done", ["a"]),
        ("a $", ["a $"]),
        ("", []),
        ("# nothing", []),
    ],
)
def test_a_script_is_taken_apart(script: str, commands: list[str]) -> None:
    found = parse(script)
    assert found.doubts == ()
    assert texts(script) == commands


@pytest.mark.parametrize(
    "script",
    [
        "a 'b",
        'a "b',
        "a `b",
        "a $(b",
        "(a",
        "a)",
        "a <<E\nb",
        "a <<$x\nb\n$x",
        "case a in b) c;; esac",
        "a <(b)",
        "diff <(a) >(b)",
        "((x=1))",
        "a $((x))",
        "a $((x[$(b)]))",
        "a ${x@P}",
        "a ${!x}",
        "a ${x:=b}",
        "a ${x[$(b)]}",
        "a ${x:$(b)}",
        "a ${x:y}",
        "a $[1]",
        'a $"b"',
        "a $'\\''",
        "a $'\\c'",
        "a $'\\x07'",
        "x=(a b)",
        "coproc a",
        "a \\",
        "time -p a",
        "time -- a",
        "for ((;;)); do a; done",
        "for x in a { b }",
        "a { b }",
        "a &>x b",
        "a &>x b=c",
        "a(b)",
        "a b(c)",
        "@(a|b)",
        "a >",
        "a\rb",
        "a\x00b",
        "a\u00a0b",
        "a\u200bb",
        "a\u202eb",
        "a\ue000b",
        "\ufeffa",
        "a\x1bb",
        "a $\\\n(b)",
        "{a;}",
        "if a; then b; (",
        "a {b,$(c)}",
        "a" * (LONGEST + 1),
        "(" * 50 + "a" + ")" * 50,
        "for PATH in a; do b; done",
        "a $(b <<E\n)\nE",
    ],
)
def test_what_is_not_certain_is_a_doubt(script: str) -> None:
    assert parse(script).doubts


@pytest.mark.parametrize(
    ("script", "target", "write", "folder"),
    [
        ("a > b", "b", True, ""),
        ("a >> b", "b", True, ""),
        ("a >| b", "b", True, ""),
        ("a <> b", "b", True, ""),
        ("a &> b", "b", True, ""),
        ("a >& b", "b", True, ""),
        ("a 2> b", "b", True, ""),
        ("a < b", "b", False, ""),
        ("cd x && a > b", "b", True, "x"),
        ("cd x && cd y && a > b", "b", True, "x/y"),
        ("cd x; a > b", "b", True, None),
        ("cd x || a > b", "b", True, None),
        ("cd $x && a > b", "b", True, None),
        ("cd && a > b", "b", True, None),
        ("pushd x && a > b", "b", True, None),
        ("(cd x); a > b", "b", True, ""),
        ("a $(cd x && c) > b", "b", True, ""),
        ("if a; then b; fi > c", "c", True, ""),
    ],
)
def test_files_that_the_shell_opens(script: str, target: str, write: bool, folder: str | None) -> None:
    (found,) = parse(script).redirects
    assert (found.target.text, found.write, found.folder) == (target, write, folder)


def test_descriptors_are_no_files() -> None:
    assert parse("a 2>&1 >&- <&3 1>&2-").redirects == ()


# --- beside the shells themselves -------------------------------------------------------------------------------------

# every word is the name of no program and is told by the handler; no slash, no dot: nothing of the machine is touched
_PIECES = st.sampled_from(
    [
        *"abc",
        " ",
        " ",
        ";",
        "&",
        "|",
        "\n",
        "&&",
        "||",
        "(",
        ")",
        "{ ",
        " }",
        "; }",
        "'",
        '"',
        "\\",
        "$",
        "`",
        "$(",
        ")",
        "<",
        ">",
        ">>",
        "<<",
        "<<<",
        "<<E\n",
        "\nE\n",
        "E",
        "#",
        "!",
        "x=",
        "x=a ",
        "$x",
        "${x}",
        "${x:-b}",
        "$'",
        "\t",
        "if ",
        "; then ",
        "; fi",
        "for x in ",
        "; do ",
        "; done",
        "while ",
        "until ",
        "time ",
        "f() {",
        "function ",
        "case a in a) ",
        ";;",
        " esac",
        "[[ ",
        " ]]",
        "-",
        "2>",
        "&>",
        "|&",
        "\\\n",
        "~",
        "*",
        "?",
        "[",
        "]",
        "{a,b}",
        "$((",
        "))",
        "1",
        "=",
        "+",
        "a b",
        "c 'a b'",
        "<(",
        ">(",
        "\\`",
        '\\"',
        "else ",
        "elif ",
        "!",
        '$"',
        "select x in ",
        "coproc ",
        "(( ",
        "b() ",
        "{",
        "}",
        "then ",
        "do ",
        "in ",
        "&!",
        "<<-E\n",
        "'E'",
        "<<'E'\n",
    ]
)
_HANDLER = r"""
command_not_found_handle() { printf '\001'; printf '%s\002' "$@"; printf '\003'; return $((RANDOM % 2)); }
"""
_NAMES_OF_OURS = {"time", "function"}
"""words of bash's grammar that are programs to dash; what follows them is found all the same"""


def _ran(shell: str, script: str, folder: Path) -> list[list[str]]:
    """The words of the commands that a shell tried to run, none of which exists; of dash the names alone."""
    handler = f"shopt -s nullglob\n{_HANDLER}" if shell == "bash" else ""
    environment = {"PATH": str(folder / "none"), "LC_ALL": "C", "HOME": str(folder)}
    try:
        done = subprocess.run(
            [shutil.which(shell) or shell, "-c", f'{handler}eval "$1"', shell, script],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=3,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return []
    out = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    if shell == "bash":
        return [said.split("\2")[:-1] for said in re.findall("\1([^\1]*?)\3", out)]
    names = re.findall(r"dash: \d+: (?:eval: )?((?:(?!dash: \d+: ).)*?): not found", out, re.DOTALL)
    return [[name] for name in names if os.sep not in name and name not in _NAMES_OF_OURS]


def _covered(ran: list[str], script: str, *, words: bool) -> bool:
    """Whether a command that was run is one of those that were found; a hole stands for anything."""
    for simple in parse(script).commands:
        if not simple.words:
            continue
        first = simple.words[0]
        if not first.sure or first.text.startswith("~"):
            return True
        if first.text != ran[0]:
            continue
        sure = all(word.sure and not word.text.startswith("~") for word in simple.words)
        if not words or not sure or [word.text for word in simple.words] == ran:
            return True
    return False


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_PIECES, min_size=1, max_size=14).map("".join))
@example("[[ a && b ]]")
@example("a $\\\n(b)")
@example(">x if b")
@example("for x do b; done")
def test_what_bash_runs_is_found(tmp_path: Path, script: str) -> None:
    (tmp_path / "w").mkdir(exist_ok=True)
    found = parse(script)
    if found.doubts:
        return
    for ran in _ran("bash", script, tmp_path / "w"):
        assert _covered(ran, script, words=True), (script, ran, found)


@pytest.mark.skipif(shutil.which("dash") is None, reason="dash is not installed")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_PIECES, min_size=1, max_size=14).map("".join))
@example("[[ a && b ]]")
@example("a &>x b")
@example("function f { b; }")
def test_what_dash_runs_is_found(tmp_path: Path, script: str) -> None:
    (tmp_path / "w").mkdir(exist_ok=True)
    found = parse(script)
    if found.doubts or "$'" in script:  # to dash the dollar is a letter there: it runs a program of that name
        return
    for ran in _ran("dash", script, tmp_path / "w"):
        assert _covered(ran, script, words=False), (script, ran, found)


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    parse(text)
