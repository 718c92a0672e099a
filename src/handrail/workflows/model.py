"""The base of what stands in a workflow file, and small forms that several parts share."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from handrail.workflows.meant import guess

T = TypeVar("T")


class Model(BaseModel):
    """A mapping of the file: frozen, unknown fields refused, a field with nothing behind it not said."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise PydanticCustomError("fields", "write fields: {known}", {"known": ", ".join(cls.model_fields)})
        for key in value:
            if key not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown", "{mend}", {"key": str(key), "mend": guess(str(key), cls.model_fields)}
                )
        return {key: given for key, given in value.items() if given is not None}


class _Listed:
    """Takes one part where a list of them is due, and tells editors so."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(schema)
        return {"anyOf": [made["items"], made]}


def _listed(value: object) -> object:
    return value if value is None or isinstance(value, list | tuple) else [value]


OneOrMany = Annotated[tuple[T, ...], _Listed()]
"""a list, or its one part without the brackets"""
