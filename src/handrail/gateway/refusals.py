"""What the gateway itself says no with, in the error shape of each wire format.

The status of a spent budget is chosen by what makes the agents that speak a format give up at once instead of retrying
(measured; field note on the control plane, section 5, and on ACP agents, section 6): Claude Code stops at 400, Codex at
429 `insufficient_quota`, Gemini CLI at 400 (it retries 429 for a minute); OpenCode, Qwen Code, goose and OpenHands,
which speak Chat, stop at 400 and retry 429.
"""

from __future__ import annotations

import json
from enum import StrEnum

from msgspec import Struct

from handrail.gateway.routes import Format


class Reason(StrEnum):
    """Why the gateway refuses."""

    BUDGET = "budget"
    TOKEN = "token"  # noqa: S105  # a reason, not a secret
    PROVIDER = "provider"  # none is configured for the format
    REQUEST = "request"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    INTERNAL = "internal"


class Refusal(Struct, frozen=True):
    """A whole answer: status and JSON body."""

    status: int
    body: bytes


_STATUS = {
    Reason.BUDGET: 400,
    Reason.TOKEN: 401,
    Reason.PROVIDER: 400,
    Reason.REQUEST: 400,
    Reason.TOO_LARGE: 413,
    Reason.NOT_FOUND: 404,
    Reason.UNREACHABLE: 502,
    Reason.INTERNAL: 500,
}
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
}
_GOOGLE = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 502: "UNAVAILABLE"}
_OPENAI = {
    Reason.BUDGET: ("insufficient_quota", "insufficient_quota"),
    Reason.TOKEN: ("authentication_error", "invalid_api_key"),
    Reason.UNREACHABLE: ("server_error", "provider_unreachable"),
    Reason.INTERNAL: ("server_error", None),
}


def refuse(form: Format, reason: Reason, text: str) -> Refusal:
    """The answer that says `text`, prefixed with our name, in the shape of `form`."""
    status = 429 if reason is Reason.BUDGET and form is Format.RESPONSES else _STATUS[reason]
    message = f"Handrail: {text}"
    error: dict[str, object]
    if form is Format.ANTHROPIC:
        error = {"type": _ANTHROPIC.get(status, "api_error"), "message": message}
        return Refusal(status, json.dumps({"type": "error", "error": error}).encode())
    if form is Format.GEMINI:
        error = {"code": status, "message": message, "status": _GOOGLE.get(status, "INTERNAL")}
        return Refusal(status, json.dumps({"error": error}).encode())
    kind, code = _OPENAI.get(reason, ("invalid_request_error", None))
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Refusal(status, json.dumps({"error": error}).encode())
