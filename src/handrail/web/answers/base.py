"""What the models of answers share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Nano = Annotated[int, Field(description="billionths of a US dollar")]
Seconds = Annotated[float, Field(description="seconds")]
Object = dict[str, object]


class Answer(BaseModel):
    """The base of answers: they hold what is written here and nothing else."""

    model_config = ConfigDict(extra="forbid")
