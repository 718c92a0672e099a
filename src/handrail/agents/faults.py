"""Recognises an agent's error, however it is dressed: as a JSON-RPC error, in `_meta`, as text, or as a normal end."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from msgspec import Struct

from handrail.agents import Failure
from handrail.agents.decode import dig, sentence
from handrail.agents.spec import ErrorPattern

AUTH_REQUIRED = -32000
_PROTOCOL = frozenset({-32700, -32600, -32601, -32602})
_STATUS_KINDS = {401: "auth", 403: "auth", 402: "limit", 429: "limit"}
_AIR_KINDS = {
    "limit": "limit",
    "auth": "auth",
    "authentication": "auth",
    "service": "provider",
    "connection": "provider",
}
_CLAUDE_KINDS = {
    "authentication_failed": "auth",
    "oauth_org_not_allowed": "auth",
    "billing_error": "limit",
    "rate_limit": "limit",
    "server_error": "provider",
    "overloaded": "provider",
    "invalid_request": "provider",
    "model_not_found": "provider",
}
_OPENCODE_NAMES = {"ProviderAuthError": "auth", "APIError": "provider"}
_WORDS = (
    (re.compile(r"\b(40[13])\b|unauthori[sz]ed|forbidden|api.?key|authenticat|credential", re.IGNORECASE), "auth"),
    (
        re.compile(r"\b(402|429)\b|rate.?limit|too many requests|quota|budget|insufficient|billing", re.IGNORECASE),
        "limit",
    ),
    (
        re.compile(
            r"\b(400|404|408|413|422|5\d\d)\b|api.?error|overloaded|server.?error|bad request|timed? ?out"
            r"|connection|network|stream|litellm|provider|model",
            re.IGNORECASE,
        ),
        "provider",
    ),
)


class Fault(Struct, frozen=True):
    """What went wrong, in one sentence, and its kind: auth, limit, provider, protocol or agent."""

    text: str
    kind: str


def of_rpc(code: object, message: str, data: object) -> Fault:
    """A JSON-RPC error that answered a request. Gemini puts the provider's HTTP status into `code`."""
    details = next(
        (
            said
            for keys in (("details",), ("message",), ("error", "message"), ("error",))
            if isinstance(said := dig(data, *keys), str) and said
        ),
        data if isinstance(data, str) else "",
    )
    text = told(f"{message}: {details}" if details and details not in message else message)
    kind = _CLAUDE_KINDS.get(str(dig(data, "errorKind")))
    words = of_words(text)
    if kind is None and words == "agent":
        kind = _OPENCODE_NAMES.get(str(dig(data, "errorName")))
    if kind is None and code == AUTH_REQUIRED:
        kind = "auth"
    elif kind is None and isinstance(code, int) and 400 <= code < 600:
        kind = _STATUS_KINDS.get(code, "provider")
    elif kind is None and isinstance(code, int) and code in _PROTOCOL:
        kind = "protocol"
    return Fault(text, kind or words)


def of_failure(failure: Failure) -> Fault:
    """A failure told in `_meta`; its title decides where the category says little."""
    kind = of_words(failure.title)
    if kind in {"agent", "provider"}:
        kind = _AIR_KINDS.get(failure.category, kind)
    return Fault(told(failure.title), kind)


def of_text(said: str, patterns: Sequence[ErrorPattern]) -> Fault | None:
    """An error that an agent told as its last message of a turn that ended as if all were well."""
    for known in patterns:
        if found := known.pattern.search(said):
            text = told(said[found.start() :])
            words = of_words(text) if known.kind == "provider" else known.kind
            return Fault(text, known.kind if words == "agent" else words)
    return None


def told(message: str) -> str:
    """A message as one sentence: without `Internal error:` before it, and out of the JSON that a provider answered."""
    inner = message.removeprefix("Internal error").lstrip(": ").strip()
    if inner.startswith("{"):
        try:
            body = json.loads(inner)
        except ValueError:
            pass
        else:
            for keys in (("error", "message"), ("message",), ("error",)):
                if isinstance(said := dig(body, *keys), str) and said:
                    return sentence(said)
    return sentence(inner or message or "no reason given")


def of_words(text: str) -> str:
    """The kind of an error by the words of its message."""
    return next((kind for pattern, kind in _WORDS if pattern.search(text)), "agent")
