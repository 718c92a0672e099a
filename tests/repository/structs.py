"""A plugin of mypy: `msgspec.structs.replace` is checked by the fields of what it is given, as that of dataclasses is.

https://mypy.readthedocs.io/en/stable/extending_mypy.html
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.expandtype import expand_type_by_instance
from mypy.nodes import ARG_NAMED_OPT, ARG_POS, ARG_STAR2, CallExpr, Var
from mypy.plugin import FunctionSigContext, Plugin
from mypy.types import FunctionLike, Instance, Type, TypeVarType, get_proper_type


class Structs(Plugin):
    def get_function_signature_hook(self, fullname: str) -> Callable[[FunctionSigContext], FunctionLike] | None:
        return _replace if fullname == "msgspec.structs.replace" else None


def _replace(context: FunctionSigContext) -> FunctionLike:
    call = context.context
    if isinstance(call, CallExpr) and ARG_STAR2 in call.arg_kinds:  # names that only a run knows
        return context.default_signature
    given = get_proper_type(context.api.get_expression_type(context.args[0][0])) if context.args[0] else None
    owner = get_proper_type(given.upper_bound) if isinstance(given, TypeVarType) else given
    if given is None or not isinstance(owner, Instance) or "dataclass" not in owner.type.metadata:
        return context.default_signature
    fields: dict[str, Type] = {}
    for field in owner.type.metadata["dataclass"]["attributes"]:
        found = owner.type.get(field["name"])
        if found is not None and isinstance(found.node, Var) and found.node.type is not None:
            fields[field["name"]] = expand_type_by_instance(found.node.type, owner)
    return context.default_signature.copy_modified(
        arg_types=[given, *fields.values()],
        arg_kinds=[ARG_POS, *[ARG_NAMED_OPT] * len(fields)],
        arg_names=[None, *fields],
        ret_type=given,
        variables=[],
    )


def plugin(_: str) -> type[Plugin]:
    """The way in, which mypy calls with its version."""
    return Structs
