"""A workflow in words: what starts it, as a person says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def _if(when: str | None) -> str:
    return f" if {when}" if when else ""
