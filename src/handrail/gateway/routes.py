"""Paths: which wire format a request speaks, and where a provider takes it.

Inside, agents may use these paths, the version in them optional; anything else is answered 404 and never forwarded:

| format | paths |
| --- | --- |
| Anthropic Messages | `POST /v1/messages`, `POST /v1/messages/count_tokens` |
| OpenAI Responses | `POST /v1/responses` |
| OpenAI Chat | `POST /v1/chat/completions` |
| Gemini | `POST /v1beta/models/{model}:generateContent`, `…:streamGenerateContent`, `…:countTokens` |
| lists | `GET /v1/models`, `GET /v1/models/{model}` (Anthropic's by its headers), `GET /v1beta/models[/{model}]` |
| liveness | `HEAD /`, `GET /` (answered here) |

Outside, a provider's base URL may carry a path, and the conventions of the formats differ:

| base URL | Anthropic | OpenAI | Gemini |
| --- | --- | --- | --- |
| without a path | `/v1/messages` | `/v1/chat/completions` | `/v1beta/models/…` |
| ends in a version (`/v1`, `/v1beta`, `/v4`) | base + `/messages` | base + `/chat/completions` | base + `/models/…` |
| another path (`/anthropic`) | base + `/v1/messages` | base + `/chat/completions` | base + `/v1beta/models/…` |

OpenAI's column is the convention of `OPENAI_BASE_URL`: it holds all that stands before `/chat/completions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from handrail.gateway import Provider, Wire


class Format(StrEnum):
    """What a body looks like. OpenAI's wire has two."""

    ANTHROPIC = "anthropic"
    RESPONSES = "responses"
    CHAT = "chat"
    GEMINI = "gemini"


class Action(StrEnum):
    """What a request wants."""

    CALL = "call"  # an answer of the model: metered
    LOOK = "look"  # a list of models or a count of tokens: free
    ALIVE = "alive"  # whether anybody is there


class Route(Struct, frozen=True):
    """A request that the gateway knows. `endpoint` is its path without version; `model` is what the path names."""

    format: Format
    action: Action
    endpoint: str = ""
    model: str | None = None

    @property
    def wire(self) -> Wire:
        """The wire format in the words of the providers."""
        return _WIRES[self.format]


_WIRES = {
    Format.ANTHROPIC: Wire.ANTHROPIC,
    Format.RESPONSES: Wire.OPENAI,
    Format.CHAT: Wire.OPENAI,
    Format.GEMINI: Wire.GEMINI,
}
_POSTS = {
    "messages": Route(Format.ANTHROPIC, Action.CALL, "messages"),
    "messages/count_tokens": Route(Format.ANTHROPIC, Action.LOOK, "messages/count_tokens"),
    "responses": Route(Format.RESPONSES, Action.CALL, "responses"),
    "chat/completions": Route(Format.CHAT, Action.CALL, "chat/completions"),
}
_VERSION = re.compile(r"/(?:(v1|v1beta|v1alpha)/)?(.+)")
_MODEL = re.compile(r"models(?:/([A-Za-z0-9][A-Za-z0-9._@-]*))?")
_GEMINI = re.compile(r"models/([A-Za-z0-9][A-Za-z0-9._@-]*):(generateContent|streamGenerateContent|countTokens)")
_ENDS_IN_VERSION = re.compile(r"/v\d+(?:alpha|beta)?\d*$")


def match(method: str, path: str, headers: Mapping[str, str]) -> Route | None:
    """The route of a request, or None. `path` is without query, `headers` has lower-case names."""
    if path == "/" and method in ("GET", "HEAD"):
        return Route(Format.CHAT, Action.ALIVE)
    found = _VERSION.fullmatch(path)
    if found is None:
        return None
    version, endpoint = found[1], found[2]
    if method == "POST" and version in (None, "v1") and endpoint in _POSTS:
        return _POSTS[endpoint]
    if method == "POST" and (gemini := _GEMINI.fullmatch(endpoint)):
        action = Action.LOOK if gemini[2] == "countTokens" else Action.CALL
        return Route(Format.GEMINI, action, endpoint, gemini[1])
    if method == "GET" and _MODEL.fullmatch(endpoint):
        if version in ("v1beta", "v1alpha") or "x-goog-api-key" in headers:
            return Route(Format.GEMINI, Action.LOOK, endpoint)
        anthropic = "anthropic-version" in headers or "x-api-key" in headers
        return Route(Format.ANTHROPIC if anthropic else Format.CHAT, Action.LOOK, endpoint)
    return None


def guess(path: str) -> Format:
    """The format whose error shape a client of an unknown path most likely reads."""
    if "/messages" in path:
        return Format.ANTHROPIC
    return Format.GEMINI if "/v1beta/" in path else Format.CHAT


def upstream(provider: Provider, route: Route, query: str) -> str:
    """The provider's URL for `route`, as the table above says; `query` is added without a `key` of the agent's."""
    base = provider.base_url.rstrip("/")
    path = urlsplit(base).path
    version = {Wire.ANTHROPIC: "/v1", Wire.OPENAI: "" if path else "/v1", Wire.GEMINI: "/v1beta"}[route.wire]
    if _ENDS_IN_VERSION.search(path):
        version = ""
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("key="))
    return f"{base}{version}/{route.endpoint}{'?' + kept if kept else ''}"
