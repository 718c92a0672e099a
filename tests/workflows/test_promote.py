"""From logs to drafts: what was done is allowed, and every mutation of it asks."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from handrail.automation import EffectKind
from handrail.errors import InvalidInput
from handrail.kinds import Kind
from handrail.policy import Action, Request, Verdict
from handrail.policy.decide import decide_all
from handrail.policy.document import read as read_policy
from handrail.policy.layers import stack
from handrail.policy.mine import allows
from handrail.policy.normalise import normalise
from handrail.types import Check, Event, Goal, Json, Limits, Permissions, SessionId
from handrail.workflows.compile import Cause, given, plan
from handrail.workflows.parameters import parametrised
from handrail.workflows.promote import Lived, promote
from handrail.workflows.read import read
from handrail.workflows.template import told

AT = datetime(2026, 9, 1, tzinfo=UTC)
PLACE = "/data/sessions/s-1/workspace/project"


def log(*events: tuple[Kind, Json]) -> list[Event]:
    return [Event(SessionId("s-1"), seq, AT, kind, data, 1) for seq, (kind, data) in enumerate(events, 1)]


def tool(call: str, kind: str, given: Json, status: str = "completed", **more: object) -> list[tuple[Kind, Json]]:
    return [
        (Kind.TOOL_STARTED, {"call": call, "title": call, "tool": kind, "input": given, **more}),
        (Kind.TOOL_ENDED, {"call": call, "status": status, "seconds": 0.1}),
    ]


def shell(call: str, command: str, status: str = "completed") -> list[tuple[Kind, Json]]:
    return tool(call, "execute", {"command": command}, status)


def lived(*events: tuple[Kind, Json], **more: object) -> Lived:
    values: dict[str, object] = {
        "session": "s-1", "title": "Mend the greeting", "agent": "handrail", "repository": "/src/project",
        "workspace": PLACE, "events": log((Kind.TURN_STARTED, {"text": "Mend it.", "by": "you"}), *events),
    }  # fmt: skip
    return Lived(**(values | more))  # type: ignore[arg-type]


def test_a_draft_holds_what_the_session_did_and_nothing_wider() -> None:
    goal = Goal("Mend it.", (Check("make lint"),), Limits(8))
    made = promote(
        lived(
            *shell("c1", "pytest -q tests/test_greet.py 2>&1 | tail -5"),
            *shell("c2", "cd src && sed -i s/Hallo/Hello/ greet.py > log.txt"),
            *tool("c3", "edit", {"path": f"{PLACE}/src/greet.py"}),
            *tool("c4", "read", {"path": f"{PLACE}/README.md"}),
            *shell("c5", "git push --force", "denied"),
            *shell("c6", "for x in a b; do rm $x; done"),
            *shell("c7", "make test", "failed"),
            (Kind.NETWORK_DECIDED, {"host": "pypi.org", "port": 443, "verdict": "allowed"}),
            (Kind.NETWORK_DECIDED, {"host": "evil.example", "port": 443, "verdict": "denied"}),
            goal=goal,
            proposed=(EffectKind.PULL_REQUEST,),
        )
    )
    workflow = read(made.text, agents=["handrail"])
    assert [(rule.section, rule.rule) for rule in made.rules] == [
        ("shell", "pytest -q tests/test_greet.py"),
        ("shell", "sed -i s/Hallo/Hello/ greet.py"),
        ("files", "./src/log.txt"),
        ("files", "./src/greet.py"),
        ("files", "read **"),
        ("shell", "make test"),
        ("network", "pypi.org:443"),
    ]
    assert [ask.what for ask in made.asks] == [
        "shell: git push --force", "shell: for x in a b; do rm $x; done", "network: evil.example:443",
    ]  # fmt: skip
    assert made.suggested == ("pytest -q tests/test_greet.py",)
    assert "#   - pytest -q tests/test_greet.py" in made.text
    assert (workflow.name, workflow.goal, workflow.repositories) == ("mend-the-greeting", "Mend it.", ("/src/project",))
    assert [check.command for check in workflow.checks] == ["make lint"]
    assert (workflow.network, workflow.effects.propose) == (("pypi.org:443",), (EffectKind.PULL_REQUEST,))
    assert workflow.budget.turns == 8
    made_plan = plan(workflow, "0" * 12, [], Cause())
    assert made_plan.policy is not None
    for command, verdict in (
        ("make test", Verdict.ALLOW), ("make test all", Verdict.ASK), ("make", Verdict.ASK),
        ("git push --force", Verdict.ASK),
    ):  # fmt: skip
        wanted = (Request(Action.SHELL, command, workspace=PLACE),)
        assert decide_all(stack(Permissions.ALLOW, session=made_plan.policy), wanted).verdict is verdict


@pytest.mark.parametrize(
    ("commands", "checks", "suggested"),
    [
        (("pytest -q tests/test_a.py", "pytest -q"), ["pytest -q"], ["pytest -q tests/test_a.py"]),
        (("cd web && npm run test:unit -- --ci 2>&1 | tail -3",), ["cd web && npm run test:unit -- --ci"], []),
        (("PYTHONPATH=src uv run python -m unittest -q",), ["PYTHONPATH=src uv run python -m unittest -q"], []),
        (("sed -i s/a/b/ x.py && sh check.sh",), [], ["sed -i s/a/b/ x.py && sh check.sh"]),
        (("rm tests.sh", "cat check.sh > out"), [], ["cat check.sh > out", "rm tests.sh"]),
        ((f"{PLACE}/.venv/bin/pytest", "make test"), ["make test"], [f"{PLACE}/.venv/bin/pytest"]),
        (("npm i && npm test", "pytest $(ls)"), [], ["pytest $(ls)", "npm i && npm test"]),
    ],
)
def test_what_was_run_last_as_a_test_decides_if_it_is_nothing_else(
    commands: tuple[str, ...], checks: list[str], suggested: list[str]
) -> None:
    made = promote(lived(*(event for at, one in enumerate(commands) for event in shell(f"c{at}", one))))
    assert ([*made.checks], [*made.suggested]) == (checks, suggested)
    assert [check.command for check in read(made.text).checks] == checks
    assert all(f"#   - {one}" in made.text for one in suggested)


def test_prompts_become_one_goal_and_its_literals_inputs() -> None:
    first = "Fix #42 on feature/login for v2.1.0, see https://example.com/a?b=1. {{ not a hole }}"
    second = "Now also #42 and PR 7, by 2026-09-30;\n  keep 3.14159 and 1 other thing"
    session = lived(
        (Kind.TURN_STARTED, {"text": second, "by": "you"}),
        (Kind.TURN_STARTED, {"text": "Go on.", "by": "goal"}),
        (Kind.GOAL_SET, {"text": first}),
    )
    told_first = log((Kind.TURN_STARTED, {"text": first, "by": "you"}))
    session = replace(session, events=[*told_first, *session.events[1:]])
    made = promote(session, "login")
    workflow = read(made.text)
    assert {one.name: (one.type, one.value) for one in made.inputs} == {
        "issue": ("integer", "42"), "branch": ("text", "feature/login"), "version": ("text", "v2.1.0"),
        "url": ("text", "https://example.com/a?b=1"), "pull_request": ("integer", "7"),
        "date": ("text", "2026-09-30"), "version_2": ("text", "3.14159"),
    }  # fmt: skip
    assert workflow.goal is not None
    whole = told(workflow.goal, given(workflow, {}), {}, mark="x")
    assert whole == f"{first}\n\nThen, in this order:\n1. {second}"
    assert "#43" in told(workflow.goal, given(workflow, {"issue": "43"}), {}, mark="x")


def test_a_session_that_was_told_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="it has no prompt and no goal"):
        promote(lived(events=[]))


WORDS = ["pytest", "make", "git", "npm", "status", "-q", "test", "a b", "*.py", "it's", "[x]", "--x=1", "src/a.py", "ü",
         "-c", "#42", "$", "~/x", "print(1)", "&&", "a;b", "'", '"', "\\", "|"]  # fmt: skip
PATHS = ["greet.py", "src/greet.py", "src/deep/er/a.txt", ".github/x.yml", "Makefile", "a b.txt", "ü/ä.md", "x[1].txt"]
HOSTS = ["pypi.org:443", "api.example.com:8443", "10.0.0.1:80"]


def quoted(words: list[str]) -> str:
    return " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)


@pytest.mark.parametrize("seed", range(60))
def test_what_was_asked_passes_and_every_mutation_of_it_does_not(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a test's chance
    commands = [[draw.choice(["pytest", "make", "git", "npm", "tool"]), *draw.choices(WORDS, k=draw.randrange(5))]
                for _ in range(draw.randrange(1, 6))]  # fmt: skip
    paths = draw.sample(PATHS, draw.randrange(1, 4))
    hosts = draw.sample(HOSTS, draw.randrange(3))
    events: list[tuple[Kind, Json]] = []
    for at, words in enumerate(commands):
        in_words = draw.random() < 0.3 and len(words) > 1
        whole: Json = {"command": words[0], "args": words[1:]} if in_words else {"command": quoted(words)}
        events += tool(f"s{at}", "execute", whole)
    for at, path in enumerate(paths):
        events += tool(f"w{at}", "edit", {"path": f"{PLACE}/{path}" if draw.random() < 0.5 else path})
    for at, host in enumerate(hosts):
        events += tool(f"n{at}", "fetch", {"url": f"https://{host}/x"})
    made = promote(lived(*events))
    workflow = read(made.text)
    document = read_policy(workflow.policy_text or "")

    def passes(kind: str, given: Json, **more: object) -> bool:
        return allows(document, normalise(kind, "", given, workspace=PLACE, **more))  # type: ignore[arg-type]

    assert made.asks == ()
    assert all(passes("execute", {"command": quoted(words)}) for words in commands)
    for mutant in [mutant for words in commands for mutant in mutants(words, draw) if mutant not in commands]:
        assert not passes("execute", {"command": quoted(mutant)}), mutant
    assert all(passes("edit", {"path": path}) for path in paths)
    for path in {*PATHS, *(f"sub/{path}" for path in paths), *(f"{path}x" for path in paths), "/etc/passwd",
                 *(f"../{path}" for path in paths)} - set(paths):  # fmt: skip
        assert not passes("edit", {"path": path}), path
    for host in {*HOSTS, "sub.pypi.org:443", "pypi.org:80"}:
        assert passes("fetch", {"url": f"https://{host}/y"}) == (host in hosts)


def mutants(words: list[str], draw: random.Random) -> list[list[str]]:
    at = draw.randrange(len(words))
    return [
        [*words, "more"],
        [*words[:at], words[at] + "x", *words[at + 1 :]],
        ["rm", *words],
        words[:-1] if len(words) > 1 else ["rm"],
        [*words[:at], "other", *words[at:]],
    ]


@pytest.mark.parametrize(
    "text", ["a\n b\n\nc", " lead", "tab\tbed", "ends \nin space", "\u2028sep", "#x: [", "- a\n---\n- b", "é:"]
)
def test_any_prompt_comes_back_as_it_was(text: str) -> None:
    made = promote(lived(events=log((Kind.TURN_STARTED, {"text": text, "by": "you"}))))
    assert read(made.text).goal == text.strip()


def test_numbers_that_are_no_parameters_stay() -> None:
    for text in ("use 3 workers", "see a/b/c.py", "pi is 3", "#007", "`x#1`y&#39;", "1.2.3.4/24"):
        assert parametrised([text]) == ((text,), ()), text
