from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handrail.agents.roster import Roster
from handrail.errors import InvalidInput
from handrail.gateway import Provider, Wire, environment
from handrail.gateway.providers import Providers
from handrail.sessions.models import check_model, model_of, played, replayed
from handrail.sessions.rooms import NewSession
from handrail.types import Goal

BY_HAND: dict[str, Any] = {"prompt": "Mend it"}
KEY = Providers((Provider("work", Wire.OPENAI, "https://x.example", "k"),))


@pytest.mark.parametrize(
    ("wanted", "known", "environ", "plays"),
    [
        (BY_HAND, Providers(), {}, True),
        ({}, Providers(), {}, True),
        (BY_HAND, KEY, {}, False),
        (BY_HAND, Providers(), {"CLAUDE_CODE_OAUTH_TOKEN": "t"}, False),
        (BY_HAND | {"provider": "demo"}, Providers(), {}, False),
        (BY_HAND | {"model": "gpt-5"}, Providers(), {}, False),
        (BY_HAND | {"agent": "claude"}, Providers(), {}, False),
        ({"goal": Goal("Mend it")}, Providers(), {}, False),
        ({"goal": Goal("Mend it"), "key": "run"}, Providers(), {}, False),
    ],
)
def test_a_script_plays_only_by_hand_and_while_nothing_else_can(
    tmp_path: Path, wanted: dict[str, Any], known: Providers, environ: dict[str, str], plays: bool
) -> None:
    roster = Roster(tmp_path, {"HOME": str(tmp_path)} | environ)
    assert played(known, roster, NewSession(tmp_path, **wanted)) is plays


def test_a_key_alone_is_enough_where_it_opens_the_vendors_own_address(tmp_path: Path) -> None:
    roster = Roster(tmp_path, {"HOME": str(tmp_path)})
    (own_key,) = environment.providers({"ANTHROPIC_API_KEY": "k"})
    (elsewhere,) = environment.providers({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"})
    own, claude = roster.spec("handrail"), roster.spec("claude")
    assert model_of(own, own_key, None) == "claude-sonnet-4-5"
    assert model_of(own, own_key, "claude-opus-4-5") == "claude-opus-4-5"
    assert model_of(claude, own_key, None) is None  # it knows best
    check_model(own, own_key, None)
    with pytest.raises(InvalidInput, match="name one with --model"):
        check_model(own, elsewhere, None)


def test_a_branch_of_a_played_session_asks_for_a_model() -> None:
    assert replayed("demo") is None
    assert replayed("work") == "work"
