"""What a person types as the answer to an agent's question, understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from handrail.cli.client import Obj
from handrail.errors import InvalidInput


class Reply(Struct, frozen=True):
    """An answer as the API takes it."""

    decision: str
    option: str | None = None
    because: str | None = None
    lasts: str = "once"

    def body(self) -> Obj:
        """The JSON body of `POST /approvals/{id}`."""
        return {"decision": self.decision, "option": self.option, "because": self.because} | (
            {} if self.lasts == "once" else {"lasts": self.lasts}
        )


def understood(text: str, approval: Mapping[str, Any]) -> Reply | None:
    """`a`/`y`, `d`/`n` with or without a reason, or the number of an option that lasts; None for anything else."""
    word, _, rest = text.strip().partition(" ")
    word, rest = word.lower(), rest.strip()
    if word in {"a", "y", "allow", "yes"} and not rest:
        return Reply("allow", _once(approval, "allow_once"))
    if word in {"d", "n", "deny", "no"}:
        return Reply("deny", _once(approval, "reject_once"), rest or None)
    options = list(approval.get("options") or [])
    if word.isdigit() and not rest and 1 <= int(word) <= len(options):
        return _chosen(options[int(word) - 1])
    return None


def chosen(approval: Mapping[str, Any], decision: str, option: str | None) -> Reply:
    """The answer of `handrail approve ID --option OPTION`: an option's id, name or number.

    Raises:
        InvalidInput: the question has no such option.
    """
    if option is None:
        return Reply(decision, _once(approval, "allow_once" if decision == "allow" else "reject_once"))
    options = list(approval.get("options") or [])
    for number, item in enumerate(options, 1):
        if option in {str(number), str(item.get("id")), str(item.get("name"))}:
            return _chosen(item)
    known = ", ".join(f"{number} {item.get('name')}" for number, item in enumerate(options, 1)) or "none"
    raise InvalidInput("--option", option, f"the agent offers: {known}")


def _chosen(option: Mapping[str, Any]) -> Reply:
    return Reply("deny" if str(option.get("kind")).startswith("reject") else "allow", str(option.get("id")))


def _once(approval: Mapping[str, Any], kind: str) -> str | None:
    """The agent's own option for a single call, when it offers one."""
    return next((str(item["id"]) for item in approval.get("options") or [] if item.get("kind") == kind), None)
