from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.errors import InvalidInput
from handrail.policy import Verdict
from handrail.policy.document import Document, PolicyLimits, Section, load, read
from handrail.types import NanoUSD

EXAMPLE = """
# what the team agreed on
shell:
  allow: ["pytest *", "git status", "git diff *"]
  deny:
    - git push *
    - rm -rf /
files:
  allow: ["src/**"]
  deny: [".github/**", "read .env"]
network: {allow: [pypi, "api.example.com:443"]}
effects: {ask: [pull_request], deny: [merge], rest: deny}
limits: {turns: 20, budget: 2.50, seconds: 1h30m, processes: 64, memory: 4GiB, tmp: 512m, cpus: 1.5}
rest: ask
"""


def test_an_example() -> None:
    assert read(EXAMPLE) == Document(
        shell=Section(("pytest *", "git status", "git diff *"), (), ("git push *", "rm -rf /")),
        files=Section(("src/**",), (), (".github/**", "read .env")),
        network=Section(("pypi", "api.example.com:443")),
        effects=Section((), ("pull_request",), ("merge",), Verdict.DENY),
        limits=PolicyLimits(20, NanoUSD(2_500_000_000), 5400.0, 64, 4 << 30, 512 << 20, cpus=1.5),
        rest=Verdict.ASK,
    )


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "shell:\n", "shell: {}\nfiles:\nlimits:\n", "---\n", "shell: {allow: }"]
)
def test_nothing_is_a_policy_too(text: str) -> None:
    assert read(text) == Document()


@pytest.mark.parametrize(
    ("text", "where", "value", "mend"),
    [
        ("shel: {}", "p:1: key", "'shel'", "known here are shell, files"),
        ("shell: {allow: []}\nshell: {}", "p:2: shell", "'shell'", "name it once"),
        ("[shell]", "p:1: the policy", "list", "write fields"),
        ("pytest", "p:1: the policy", "'pytest'", "write fields"),
        ("shell: pytest", "p:1: shell", "'pytest'", "write fields: allow"),
        ("shell:\n  alow: [x]", "p:2: shell.key", "'alow'", "known here are allow, ask, deny, rest"),
        ("shell:\n  allow: pytest *", "p:2: shell.allow", "'pytest *'", "write a list"),
        ("shell:\n  allow:\n  - [x]", "p:3: shell.allow[0]", "list", "write a text"),
        ("shell: {allow: [x, {a: b}]}", "p:1: shell.allow[1]", "mapping", "write a text"),
        ("shell: {allow: ['']}", "p:1: shell.allow[0]", "''", "write a command"),
        ("shell: {allow: ['a && b']}", "p:1: shell.allow[0]", "'a && b'", "name one command"),
        ("shell: {allow: ['a \"b']}", "p:1: shell.allow[0]", 'a "b', "close the quotes"),
        ("shell: {deny: ['* push']}", "p:1: shell.deny[0]", "'* push'", "name the program"),
        ("shell: {allow: ['timeout 5 pytest']}", "p:1: shell.allow[0]", "timeout", "looked through"),
        ("shell: {allow: ['bash -c x']}", "p:1: shell.allow[0]", "bash", "looked through"),
        ("files: {allow: ['../x']}", "p:1: files.allow[0]", "'../x'", "without `..`"),
        ("files: {deny: ['read ']}", "p:1: files.deny[0]", "'read '", "write a path"),
        ("network: {allow: ['https://x.com']}", "p:1: network.allow[0]", "https://x.com", "name the host alone"),
        ("network: {allow: [pipy]}", "p:1: network.allow[0]", "'pipy'", "or one of alpine, conda"),
        ("network: {allow: ['x.com:99999']}", "p:1: network.allow[0]", "x.com:99999", "name a host"),
        ("network: {allow: ['x.*.com']}", "p:1: network.allow[0]", "x.*.com", "name a host"),
        ("effects: {ask: [deploy]}", "p:1: effects.ask[0]", "'deploy'", "choose of push, pull_request"),
        ("effects: {rest: maybe}", "p:1: effects.rest", "'maybe'", "choose one of allow, ask, deny"),
        ("rest: no", "p:1: rest", "'no'", "choose one of allow, ask, deny"),
        ("limits: {turns: 0}", "p:1: limits.turns", "'0'", "whole number above 0"),
        ("limits: {turns: -3}", "p:1: limits.turns", "'-3'", "whole number above 0"),
        ("limits: {turns: 1.5}", "p:1: limits.turns", "'1.5'", "whole number above 0"),
        ("limits: {budget: lots}", "p:1: limits.budget", "'lots'", "US dollars"),
        ("limits: {budget: nan}", "p:1: limits.budget", "'nan'", "US dollars"),
        ("limits: {budget: 1e400}", "p:1: limits.budget", "'1e400'", "US dollars"),
        ("limits: {seconds: soon}", "p:1: limits.seconds", "'soon'", "30m"),
        ("limits: {memory: 4 parsecs}", "p:1: limits.memory", "'4 parsecs'", "4GiB"),
        ("limits: {memory: [1]}", "p:1: limits.memory", "list", "4GiB"),
        ("limits: {cpus: 0.001}", "p:1: limits.cpus", "'0.001'", "from 0.01"),
        ("limits: {cpus: nan}", "p:1: limits.cpus", "'nan'", "from 0.01"),
        ("limits: {cpu: 1}", "p:1: limits.key", "'cpu'", "known here are turns, budget"),
        ("shell: {allow: [*x]}", "p:1", "undefined alias", "valid YAML"),
        ("shell: {allow: [", "p:1", "expected", "valid YAML"),
        ("a: b\n---\nc: d", "p:2", "", "valid YAML"),
        ("\x00", "p", "", "valid YAML"),
        ("a:\n\tb", "p:2", "", "valid YAML"),
        ("[" * 5000, "p", "brackets", "nest less deeply"),
        ("#" * 70_000, "p", "70000 characters", "at most 65536"),
        ("shell: {allow: [" + "x," * 501 + "]}", "p:1: shell.allow", "list", "at most 500"),
    ],
)
def test_a_refusal_names_file_field_value_and_mend(text: str, where: str, value: str, mend: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text, "p")
    assert refused.value.field == where
    assert value in str(refused.value)
    assert mend in refused.value.mend


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(EXAMPLE)
    assert load(path) == read(EXAMPLE)
    path.write_text("shell: {allow: [';']}")
    with pytest.raises(InvalidInput, match=r"policy\.yaml:1: shell\.allow\[0\]"):
        load(path)
    path.write_bytes(b"shell: \xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        load(path)
    with pytest.raises(InvalidInput, match="can be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(InvalidInput, match="can be read"):
        load(tmp_path)


_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("pytest *"))
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["shell", "files", "limits", "allow", "deny", "rest", "turns", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@given(st.one_of(st.text(max_size=300), _TREES.map(repr), st.text("{}[]:,-&*!|>'\"#%@`? \n\tabshell", max_size=80)))
def test_no_text_gives_a_traceback(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        read(text)
