from __future__ import annotations

import pytest

from handrail.gateway import Provider, Wire
from handrail.gateway.routes import Action, Format, Route, guess, match, upstream

MESSAGES = Route(Format.ANTHROPIC, Action.CALL, "messages")
CHAT = Route(Format.CHAT, Action.CALL, "chat/completions")
GEMINI = Route(Format.GEMINI, Action.CALL, "models/g:generateContent", "g")


@pytest.mark.parametrize(
    ("method", "path", "headers", "route"),
    [
        ("POST", "/v1/messages", {}, MESSAGES),
        ("POST", "/messages", {}, MESSAGES),
        ("POST", "/v1/messages/count_tokens", {}, Route(Format.ANTHROPIC, Action.LOOK, "messages/count_tokens")),
        ("POST", "/v1/responses", {}, Route(Format.RESPONSES, Action.CALL, "responses")),
        ("POST", "/v1/chat/completions", {}, CHAT),
        ("POST", "/v1beta/models/g:generateContent", {}, GEMINI),
        ("POST", "/v1/models/g:generateContent", {}, GEMINI),
        ("GET", "/v1/models", {}, Route(Format.CHAT, Action.LOOK, "models")),
        ("GET", "/v1/models/x", {"anthropic-version": "1"}, Route(Format.ANTHROPIC, Action.LOOK, "models/x")),
        ("GET", "/v1beta/models", {}, Route(Format.GEMINI, Action.LOOK, "models")),
        ("HEAD", "/", {}, Route(Format.CHAT, Action.ALIVE)),
        ("GET", "/v1/messages", {}, None),
        ("POST", "/v1beta/messages", {}, None),
        ("POST", "/v1/messages/", {}, None),
        ("POST", "/v1/v1/messages", {}, None),
        ("POST", "/v1/../messages", {}, None),
        ("POST", "/v1beta/models/..:generateContent", {}, None),
        ("POST", "/v1beta/models/a%2fb:generateContent", {}, None),
        ("POST", "/v1beta/models/g:batchGenerateContent", {}, None),
        ("DELETE", "/v1/models/x", {}, None),
        ("POST", "http://evil/v1/messages", {}, None),
        ("OPTIONS", "*", {}, None),
    ],
)
def test_match(method: str, path: str, headers: dict[str, str], route: Route | None) -> None:
    assert match(method, path, headers) == route


@pytest.mark.parametrize(
    ("base", "route", "url"),
    [
        ("https://api.anthropic.com", MESSAGES, "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", MESSAGES, "https://api.anthropic.com/v1/messages"),
        ("https://api.deepseek.com/anthropic", MESSAGES, "https://api.deepseek.com/anthropic/v1/messages"),
        ("https://api.openai.com", CHAT, "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1", CHAT, "https://api.openai.com/v1/chat/completions"),
        ("https://api.z.ai/api/paas/v4", CHAT, "https://api.z.ai/api/paas/v4/chat/completions"),
        ("https://g.example/openai", CHAT, "https://g.example/openai/chat/completions"),
        ("https://g.example/v1beta/openai", CHAT, "https://g.example/v1beta/openai/chat/completions"),
        ("https://g.example", GEMINI, "https://g.example/v1beta/models/g:generateContent"),
        ("https://g.example/v1beta", GEMINI, "https://g.example/v1beta/models/g:generateContent"),
        ("https://g.example/google", GEMINI, "https://g.example/google/v1beta/models/g:generateContent"),
    ],
)
def test_upstream(base: str, route: Route, url: str) -> None:
    assert upstream(Provider("p", route.wire, base, "k"), route, "") == url


def test_the_query_is_kept_without_the_agents_key() -> None:
    provider = Provider("p", Wire.GEMINI, "https://g.example", "k")
    assert upstream(provider, GEMINI, "alt=sse&key=secret&monkey=1").endswith(":generateContent?alt=sse&monkey=1")
    assert upstream(provider, GEMINI, "key=secret").endswith(":generateContent")


def test_guess() -> None:
    assert guess("/v1/messages/batches") is Format.ANTHROPIC
    assert guess("/v1beta/x") is Format.GEMINI
    assert guess("/") is Format.CHAT
