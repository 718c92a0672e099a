from __future__ import annotations

import json

import pytest

from handrail.gateway.asks import MalformedError, read
from handrail.gateway.routes import Action, Format, Route

CHAT = Route(Format.CHAT, Action.CALL)


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"model":"m"}',
        b' \n{ "model": "m", "stream": true}',
        b'{"model":"m","stream":true,"stream_options":{}}',
        b'{"model":"m","stream":true,"stream_options":null}',
        '{"model":"m","stream":true,"stream_options":{"other":1,"include_usage":false},"x":"ü"}'.encode(),
    ],
)
def test_streams_of_chat_ask_for_usage(body: bytes) -> None:
    sent, given = json.loads(read(CHAT, body).body), json.loads(body)
    options = {**(given.pop("stream_options", None) or {}), "include_usage": True}
    assert sent == {**given, "stream_options": options}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m"}',
        b'{"model":"m","stream":false}',
        b'{ "stream" : true, "stream_options" : {"include_usage" : true} }',
    ],
)
def test_every_other_body_stays(body: bytes) -> None:
    assert read(CHAT, body).body is body
    assert read(Route(Format.ANTHROPIC, Action.CALL), b'{"stream":true}').body == b'{"stream":true}'


@pytest.mark.parametrize(
    ("form", "body", "maximum"),
    [
        (Format.ANTHROPIC, {"max_tokens": 5}, 5),
        (Format.CHAT, {"max_tokens": 5, "max_completion_tokens": 6}, 6),
        (Format.RESPONSES, {"max_output_tokens": 7}, 7),
        (Format.GEMINI, {"generationConfig": {"maxOutputTokens": 8}}, 8),
        (Format.GEMINI, {"generationConfig": 3}, None),
        (Format.CHAT, {"max_tokens": "9"}, None),
        (Format.CHAT, {}, None),
    ],
)
def test_longest_output(form: Format, body: dict[str, object], maximum: int) -> None:
    assert read(Route(form, Action.CALL), json.dumps(body).encode()).max_output == maximum


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"model":"nested","content":"{\\"model\\":\\"quoted\\"}"}],"model":"m","max_tokens":5}',
        b'{"model":"first","max_tokens":1,"x":{"max_tokens":2},"model":"m","max_tokens":5}',
        b'{"model":"m","max_tokens":5,"metadata":{"model":"nested"},"tools":[{"max_tokens":9}]}',
        b'{"m\\u006fdel":"m","max_tokens":5}',
        b'{"model":"m","max_tokens":5,"x":"\\ud83d"}',  # half a character, which strict parsers refuse
        b'{"model":"m","max_tokens":5,"x":' + b"[" * 500 + b"]" * 500 + b"}",
        b'\xef\xbb\xbf{"model":"m","max_tokens":5}',
        b'\n\t {"model":"m","max_tokens":5,"x":NaN}',
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_only_the_bodys_own_names_count(body: bytes, whole: bool) -> None:
    ask = read(Route(Format.ANTHROPIC, Action.CALL), body, whole=whole)
    assert (ask.model, ask.max_output, ask.body) == ("m", 5, body)


def test_the_path_names_geminis_model() -> None:
    ask = read(Route(Format.GEMINI, Action.CALL, model="g"), b'{"model":"other"}')
    assert ask.model == "g"


@pytest.mark.parametrize("body", [b'{"model":', b'{"model":"m"} x', b'{"a":01}', b"[1]", b"", b"\xff"])
def test_garbage_is_refused_where_it_is_read(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(Route(Format.ANTHROPIC, Action.CALL), body)
    with pytest.raises(MalformedError):
        read(CHAT, body, whole=False)


def test_what_nobody_needs_is_not_read() -> None:
    ask = read(Route(Format.ANTHROPIC, Action.CALL), b'{"model":}', whole=False)
    assert (ask.model, ask.max_output) == ("", None)
