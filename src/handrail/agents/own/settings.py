"""What the process is told by its environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields

from handrail.agents.own.wires import WIRES
from handrail.errors import InvalidInput

_Count = Annotated[int, Meta(gt=0, lt=10**9)]
_Seconds = Annotated[float, Meta(gt=0, lt=1e9)]
_GIVE = {"wire": f"one of {', '.join(WIRES)}", "model_url": "a URL that starts with http:// or https://"}


class Settings(Struct, frozen=True):
    """Each is told as `HANDRAIL_<ITS NAME>`. Times are seconds."""

    wire: Annotated[str, Meta(pattern=f"^({'|'.join(WIRES)})$")] = "openai-chat"
    model_url: Annotated[str, Meta(pattern="^https?://")] = ""
    token: str = ""
    model: str = ""
    context: _Count = 128_000  # the window, in tokens
    max_steps: _Count = 1000  # model calls a turn
    max_output: _Count = 16_000  # tokens of one answer, where a wire must be told; at most a quarter of the window
    attempts: _Count = 5  # of one model call
    backoff: _Seconds = 0.5  # wait after the first failed attempt, doubled each time
    idle: _Seconds = 300.0  # longest silence of a model's answer


def read(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; InvalidInput where a value is not of its kind."""
    told = dict[str, Any]()
    for field in fields(Settings):
        name = f"HANDRAIL_{field.name.upper()}"
        if text := environ.get(name):
            try:
                told[field.name] = convert(text, field.type, strict=False)
            except ValidationError as error:
                raise InvalidInput(name, text, f"give {_GIVE.get(field.name, 'a positive number')}") from error
    return Settings(**told)
