"""One decision of the policy: a command that was seen before, one that is new, and the first reading of a policy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure
from handrail.policy import Action, Request, Verdict
from handrail.policy.decide import decide
from handrail.policy.layers import Policy, stack
from handrail.types import Permissions

ROUNDS = 3000
TARGET = "< 100 µs"
COMMANDS = (
    "pytest -q tests/test_{0}.py",
    "cd src && pytest -x 2>&1 | tail -{0}",
    "git diff HEAD~{0} -- src && git status",
    "timeout 60 bash -lc 'make test-{0}'",
    "for f in a{0} b; do echo $f; done",
    "git log --oneline -n {0} | grep -E 'fix|mend' | head -5",
    "grep -rn \"def handle_{0}\" src --include=*.py | wc -l && sed -n '1,20p' 'src/a_{0}.py'",
    'echo "branch $(git rev-parse --abbrev-ref HEAD) at {0}" && git log -1 --format="%h %s"',
    "python - <<'E'\nprint({0})\nE",
    "find . -name '*_{0}.py' -not -path './.venv/*' -exec grep -l TODO {{}} \\;",
)
"""what agents run: with pipes, quotes, substitutions and other programs that run them; each number makes a new one"""


def _policy() -> Policy:
    """Three layers with 200 rules, as a large team has."""
    denied = ", ".join(f'"tool{number} push *"' for number in range(100))
    allowed = ", ".join(f'"task{number} *"' for number in range(100))
    return stack(
        Permissions.ASK,
        team=f'shell: {{deny: [{denied}, "git push *", "rm -rf /"]}}\nfiles: {{deny: [".github/**", "read .env"]}}',
        workflow="shell: {ask: ['npm publish *']}",
        session=f'shell: {{allow: [{allowed}, "pytest *", "git status", "git diff *", "make *"]}}',
    )


def run(folder: Path) -> list[Figure]:
    """Time each in process."""
    del folder
    policy = _policy()
    seen = [Request(Action.SHELL, text.format(1), workspace="/w") for text in COMMANDS]
    new = [Request(Action.SHELL, text.format(number), workspace="/w") for number in range(ROUNDS) for text in COMMANDS]
    file = Request(Action.WRITE, "src/handrail/types.py", workspace="/w")
    assert decide(policy, seen[0]).verdict is Verdict.ALLOW
    return [
        Figure("policy_command_seen", _each(lambda at: decide(policy, seen[at % len(seen)])), "µs", None, TARGET),
        Figure("policy_command_new", _each(lambda at: decide(policy, new[at])), "µs", None, TARGET),
        Figure("policy_file", _each(lambda _: decide(policy, file)), "µs", None, TARGET),
        Figure("policy_stack_again", _each(lambda _: _policy()), "µs"),
    ]


def _each(act: Callable[[int], object]) -> float:
    """Median microseconds of one call."""
    times = []
    for at in range(ROUNDS):
        began = time.perf_counter()
        act(at)
        times.append(1e6 * (time.perf_counter() - began))
    return statistics.median(times)
