"""What holds of any policies one over the other."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.policy import STRICTNESS, Action, Request, Verdict
from handrail.policy.decide import decide
from handrail.policy.document import Document, PolicyLimits, Section
from handrail.policy.layers import SESSION, TEAM, WORKFLOW, Policy, layer, stack
from handrail.policy.learn import render
from handrail.types import NanoUSD, Permissions
from tests.policy.conftest import WORKSPACE, of, policy, shell

_COMMANDS = st.sampled_from(
    ["git push", "git push *", "git *", "git status", "pytest *", "rm -rf /", "rm *", "curl *", "*", "make", "make * x"]
)
_FILES = st.sampled_from(["src/**", "**", "*", ".github/**", "read .env", "read *", "*.md", "/etc/**", "src/a.py"])
_HOSTS = st.sampled_from(["pypi", "npm", "*.example.com", "api.example.com:443", "example.com:*", "*"])
_EFFECTS = st.sampled_from(["push", "pull_request", "merge", "*"])
_REST = st.sampled_from([None, *Verdict])


def _sections(rules: st.SearchStrategy[str]) -> st.SearchStrategy[Section]:
    lists = st.lists(rules, max_size=3, unique=True).map(tuple)
    return st.builds(Section, lists, lists, lists, _REST)


DOCUMENTS = st.builds(
    Document,
    shell=_sections(_COMMANDS),
    files=_sections(_FILES),
    network=_sections(_HOSTS),
    effects=_sections(_EFFECTS),
    rest=_REST,
)
SCRIPTS = st.sampled_from(
    [
        "git push", "git status", "pytest -q", "rm -rf /", "curl x", "git push; pytest", "cd src && make", "make a x",
        "bash -c 'git push'", "git $X", "$X", "x 'y", "echo a > src/b", "echo a > .github/b", "cat < .env", "",
    ]
)  # fmt: skip
REQUESTS = st.one_of(
    st.builds(lambda text: Request(Action.SHELL, text, workspace=WORKSPACE), SCRIPTS),
    st.builds(
        lambda action, path: Request(action, path, workspace=WORKSPACE),
        st.sampled_from([Action.READ, Action.WRITE]),
        st.sampled_from(["src/a.py", ".env", ".github/x", "/etc/passwd", "README.md", "../x", "~/x", "a/../b"]),
    ),
    st.builds(
        lambda host: Request(Action.NETWORK, host, workspace=WORKSPACE),
        st.sampled_from(["pypi.org:443", "api.example.com:443", "example.com:80", "x", "http://a b", ""]),
    ),
    st.builds(lambda name: Request(Action.EFFECT, name), st.sampled_from(["push", "merge", "comment"])),
    st.builds(lambda name: Request(Action.OTHER, name), st.sampled_from(["a tool", ""])),
)
PERMISSIONS = st.sampled_from(list(Permissions))


def _over(documents: dict[str, Document], permissions: Permissions) -> Policy:
    base = stack(permissions)
    layers = tuple(layer(name, documents[name]) for name in (TEAM, WORKFLOW, SESSION) if name in documents)
    return Policy(layers, base.built_in, base.refuses)


def _alone(name: str, document: Document) -> Policy:
    """What a layer itself refuses: below it stands what allows everything."""
    return _over({name: document}, Permissions.ALLOW)


@given(team=DOCUMENTS, workflow=DOCUMENTS, session=DOCUMENTS, permissions=PERMISSIONS, request_=REQUESTS)
def test_no_lower_layer_lifts_what_a_higher_one_refuses(
    team: Document, workflow: Document, session: Document, permissions: Permissions, request_: Request
) -> None:
    whole = decide(_over({TEAM: team, WORKFLOW: workflow, SESSION: session}, permissions), request_)
    for name, document in ((TEAM, team), (WORKFLOW, workflow), (SESSION, session)):
        own = decide(_alone(name, document), request_)
        if own.verdict is not Verdict.ALLOW:
            assert STRICTNESS[whole.verdict] >= STRICTNESS[own.verdict], (name, own, whole)


@given(documents=st.dictionaries(st.sampled_from([TEAM, WORKFLOW, SESSION]), DOCUMENTS), request_=REQUESTS)
def test_refusing_permissions_hold_for_all_that_the_session_does_not_name(
    documents: dict[str, Document], request_: Request
) -> None:
    free = decide(_over(documents, Permissions.ALLOW), request_)
    strict = decide(_over(documents, Permissions.DENY), request_)
    assert STRICTNESS[strict.verdict] >= STRICTNESS[free.verdict]
    if SESSION not in documents and request_.action is not Action.READ and request_.target:
        reads_only = request_.action is Action.SHELL and "<" in request_.target
        assert strict.verdict is Verdict.DENY or reads_only


_DRESSES = st.sampled_from(
    [
        "{}; true", "true; {}", "pytest && {}", "{} || pytest", "pytest | {}", "({})", "{{ {}; }}", "true\n{}", "! {}",
        "if true; then {}; fi", "for x in a; do {}; done", "while {}; do true; done", "echo $({})", 'echo "$({})"',
        "x=$({})", "timeout 5 {}", "nohup {}", "env A=b {}", "sudo {}", "nice {}", "command {}", "A=b {}",
        "{} > /dev/null", "{} 2>&1", "{} &", "f() {{ {}; }}; f", "cat <<E\n$({})\nE", "xargs {}",
        "find . -exec {} \\;", "  {}  # x",
    ]
)  # fmt: skip
_AS_ARGUMENTS = ("timeout", "nohup", "env", "sudo", "nice", "command", "A=b", "xargs", "find")
"""dresses that fit a simple command alone"""
_QUOTED = st.sampled_from(["bash -c {}", "sh -lc {}", "env bash -c {}", "eval {}", "zsh -x -c {}", "su -c {}"])
_SPELT = st.sampled_from(
    [
        "git push",
        "git push origin",
        "git  push",
        "g'i't push",
        '"git" "push"',
        "git -C x push",
        "/usr/bin/git push",
        "git pu\\sh",
    ]
)


@given(command=_SPELT, dresses=st.lists(st.tuples(st.booleans(), _DRESSES, _QUOTED), max_size=4))
def test_a_denied_command_is_denied_in_any_dress(command: str, dresses: list[tuple[bool, str, str]]) -> None:
    simple = True
    for quoted, dress, within in dresses:
        if quoted:
            command = within.format(shlex.quote(command))
            simple = True
        elif simple or not dress.startswith(_AS_ARGUMENTS):
            here = "<<E" in command and not dress.startswith(("  ", "true"))
            if here:
                continue
            command = dress.format(command)
            simple = False
    given_ = policy('shell: {allow: ["*"], deny: ["git push *"]}', permissions=Permissions.ALLOW)
    decision = shell(given_, command)
    # what cannot be read with certainty is at least asked for
    assert decision.verdict is not Verdict.ALLOW, (command, decision)


def test_a_team_can_allow_a_few_things_and_nothing_else() -> None:
    given_ = policy('shell: {allow: ["*"]}', team='shell: {allow: ["pytest *"], rest: deny}')
    assert shell(given_, "cd src && pytest -q").verdict is Verdict.ALLOW
    assert shell(given_, "make").verdict is Verdict.DENY
    assert shell(given_, "pytest && make").verdict is Verdict.DENY
    assert of(given_, Action.WRITE, "x").verdict is Verdict.ASK


def test_a_team_answers_what_a_person_would_be_asked() -> None:
    team = 'shell: {allow: ["pytest *"]}'
    assert shell(policy(team=team), "pytest").verdict is Verdict.ALLOW
    assert shell(policy("shell: {ask: ['pytest *']}", team=team), "pytest").verdict is Verdict.ASK
    assert shell(policy(team=team, permissions=Permissions.DENY), "pytest").verdict is Verdict.DENY
    own = policy("shell: {allow: ['pytest *']}", permissions=Permissions.DENY)
    assert shell(own, "pytest").verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("team", "session", "hosts"),
    [
        ("[pypi, npm]", "[npm]", ["registry.npmjs.org:443"]),
        ('["*.example.com"]', '["api.example.com:443", pypi]', ["api.example.com:443"]),
        ('["*.example.com:443"]', '["a.example.com:*"]', ["a.example.com:443"]),
        ('["*"]', '["a.example.com:8443"]', ["a.example.com:8443"]),
        ('["*.a.com"]', '["*.b.a.com"]', ["*.b.a.com:443"]),
        ("[pypi]", "[npm]", []),
    ],
)
def test_hosts_are_what_every_layer_allows(team: str, session: str, hosts: list[str]) -> None:
    found = policy(f"network: {{allow: {session}}}", team=f"network: {{allow: {team}}}").hosts
    assert [str(host) for host in found] == hosts


def test_without_a_rule_there_is_no_host() -> None:
    assert policy().hosts == ()
    assert [str(host) for host in policy(team="network: {allow: [npm]}").hosts] == ["registry.npmjs.org:443"]


def test_a_list_of_hosts_refuses_all_others() -> None:
    given_ = policy('network: {allow: [pypi, "*.example.com:*"], ask: ["a.example.com"]}')
    assert of(given_, Action.NETWORK, "PyPI.org.:443").verdict is Verdict.ALLOW
    assert of(given_, Action.NETWORK, "b.example.com:80").verdict is Verdict.ALLOW
    assert of(given_, Action.NETWORK, "a.example.com:443").verdict is Verdict.ASK
    for host in (
        "example.com:443",
        "pypi.org:80",
        "pypi.org.evil.com:443",
        "0x7f.1:443",
        "b@pypi.org",
        "pypi.org:0",
        "é.com",
    ):
        assert of(given_, Action.NETWORK, host).verdict is Verdict.DENY, host


def test_limits_are_the_smallest() -> None:
    given_ = policy(
        "limits: {turns: 50, memory: 1GiB}",
        team="limits: {turns: 10, budget: 2.50}",
        workflow="limits: {budget: 9, seconds: 1h}",
    )
    assert given_.limits == PolicyLimits(turns=10, budget=NanoUSD(2_500_000_000), seconds=3600.0, memory=1 << 30)


def test_effects_by_name() -> None:
    given_ = policy("effects: {allow: [comment], ask: [pull_request], deny: [merge]}", team="effects: {deny: [push]}")
    told = {
        name: of(given_, Action.EFFECT, name).verdict.value
        for name in ("comment", "pull_request", "merge", "push", "review")
    }
    assert told == {"comment": "allow", "pull_request": "ask", "merge": "deny", "push": "deny", "review": "ask"}


@given(DOCUMENTS)
def test_a_policy_reads_back_as_it_was_written(document: Document) -> None:
    text = render(document)
    assert stack(Permissions.ASK, session=text).layers[0].document == document
