"""A workflow in words: what starts it, as a person says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.automation import Trust

if TYPE_CHECKING:
    from handrail.workflows.document import Workflow


def starts(workflow: Workflow) -> str:
    """What starts a workflow, in one line."""
    on = workflow.on
    parts = [rule.cron.words for rule in workflow.rules()]
    for event in on.forge:
        words = " or ".join(event.events)
        if event.actions:
            words += f" ({', '.join(event.actions)})"
        parts.append(f"on {words}" + (f" of {event.forge}" if event.forge else "") + _if(event.when))
    parts += [f"on webhook {hook.source}" + _if(hook.when) for hook in on.webhook]
    parts += [f"on alert of {alert.source or 'any monitor'}" + _if(alert.when) for alert in on.alert]
    return "; ".join(parts) or "by hand"


def sentence(workflow: Workflow, trust: Trust) -> tuple[tuple[str, str], ...]:
    """A workflow as a chain of (what, words): when, for each what, do what, checked how, asked whom, delivered what."""
    steps = [f"{step.name}{' (looks only)' if step.review else ''}" for step in workflow.steps]
    does = ", then ".join(steps) or _first(workflow.goal or "")
    checks = [check.command for check in (*workflow.checks, *(one for step in workflow.steps for one in step.checks))]
    effects = [follow.kind.value.replace("_", " ") for follow in workflow.effects.then]
    more = [kind.value.replace("_", " ") for kind in workflow.effects.propose]
    offered = f"what its agents propose of {', '.join(more)}" if more else ""
    return (
        ("When", starts(workflow)),
        ("For each of", ", ".join(workflow.repositories) or "the repository that holds the file"),
        ("Do", f"{does}, with {workflow.agent}"),
        ("Check", ", ".join(dict.fromkeys(checks)) or "nothing: nobody verifies it"),
        ("Ask", ASKS[trust]),
        ("Deliver", "; ".join(part for part in (", then ".join(effects), offered) if part) or "nothing outside"),
    )


ASKS = {
    Trust.SHADOW: "nobody: effects are recorded, none is carried out",
    Trust.SUPERVISED: "a person about each effect",
    Trust.SAMPLED: "a person about some effects, drawn by chance",
    Trust.AUTONOMOUS: "nobody, but for what cannot be taken back and the file does not name",
}


def _first(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) < 120 else f"{line[:117]}…"


def _if(when: str | None) -> str:
    return f" if {when}" if when else ""
