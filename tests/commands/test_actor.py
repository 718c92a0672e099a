from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

from handrail.commands import agents, approvals, changes, providers, sessions, system
from handrail.commands.actor import OWNER, Actor, Permission, authorise
from handrail.errors import Forbidden

ACTS = (agents, approvals, changes, providers, sessions, system)


def test_the_owner_may_do_everything() -> None:
    for permission in Permission:
        authorise(OWNER, permission)


def test_a_stranger_is_refused_by_name() -> None:
    charlie = Actor("charlie", frozenset({Permission.SESSIONS_READ}))
    authorise(charlie, Permission.SESSIONS_READ)
    with pytest.raises(Forbidden, match=r"charlie may not do this.*sessions\.write"):
        authorise(charlie, Permission.SESSIONS_WRITE)


def _acts(module: ModuleType) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if [argument.arg for argument in node.args.args[:2]] == ["desk", "actor"]:
            yield node


@pytest.mark.parametrize("module", ACTS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_act_asks_before_it_does_anything(module: ModuleType) -> None:
    acts = list(_acts(module))
    assert acts
    for act in acts:
        first = act.body[1]  # after the docstring
        assert isinstance(first, ast.Expr), act.name
        assert ast.unparse(first.value).startswith("authorise(actor, Permission."), act.name
