"""The JSON Schema of a policy, for editors: `python -m handrail.policy.schema > docs/reference/policy.schema.json`.

It says what shape a policy has; whether a rule can be one is said when the policy is read.
"""

from __future__ import annotations

import json
import sys

from handrail.policy import Verdict
from handrail.policy.document import EFFECTS, LIMITS, LISTS, MOST_RULES, SECTIONS
from handrail.registries import REGISTRIES
from handrail.types import Json

_ABOUT = {
    "shell": "Commands, one glob a word; a lone * at the end stands for any more words.",
    "files": "Paths from the top of the repository, for writing; for reading with `read ` before them.",
    "network": f"Hosts: host:port, *.host, or one of {', '.join(REGISTRIES)}.",
    "effects": "Acts on the outside world, carried out by Handrail.",
}
_LISTS = {
    "allow": "goes on without a question",
    "ask": "waits for a person",
    "deny": "is refused",
}
_COUNTS = ("turns", "processes")


def schema() -> Json:
    """The schema as JSON values (https://json-schema.org/draft/2020-12)."""
    verdict: Json = {"enum": [verdict.value for verdict in Verdict]}
    sections = {name: _section(name, verdict) for name in SECTIONS}
    limits = {
        name: {"description": mend, "type": ["integer"] if name in _COUNTS else ["number", "string"]}
        for name, (mend, _) in LIMITS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Handrail policy",
        "description": "What an agent may do. The strictest layer wins: team, workflow, session, built-in.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            **sections,
            "limits": {
                "description": "What a session may use up; the smallest limit of all layers holds.",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": limits,
            },
            "secrets": {
                "description": "Secrets of tasks: those that may be given, in a session's policy those it is given.",
                "type": ["array", "null"],
                "items": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,31}$"},
                "maxItems": MOST_RULES,
            },
            "rest": {"description": "The answer for what no section names.", **verdict},
        },
    }


def _section(name: str, verdict: Json) -> Json:
    rule: Json = {"type": "string", "minLength": 1}
    if name == "effects":
        rule = {"enum": [*EFFECTS, "*"]}
    lists: Json = {
        key: {"description": f"What {_LISTS[key]}.", "type": ["array", "null"], "items": rule, "maxItems": MOST_RULES}
        for key in LISTS
    }
    rest: Json = {"description": "The answer for what no rule of this section names.", **verdict}
    return {
        "description": _ABOUT[name],
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": lists | {"rest": rest},
    }


def text() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
