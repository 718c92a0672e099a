from __future__ import annotations

from handrail.egress import Broker
from handrail.egress.vault import Vault, broker_name, environment


def test_a_choice_sees_what_the_vault_holds_now() -> None:
    vault = Vault()
    chosen = vault.chosen(("SEARCH_KEY", "OTHER"))
    assert list(chosen) == []
    broker = Broker(broker_name("SEARCH_KEY"), "https://api.example.com", "X-Api-Key", "live-0123")
    vault.put("SEARCH_KEY", broker)
    assert list(chosen) == list(chosen) == [broker]
    assert "live-0123" not in repr(list(chosen))
    vault.drop("SEARCH_KEY")
    vault.drop("SEARCH_KEY")
    assert list(chosen) == []


def test_inside_stand_a_placeholder_and_an_address() -> None:
    assert environment(("SEARCH_KEY",)) == {
        "SEARCH_KEY": "handrail-placeholder-search-key",
        "SEARCH_KEY_URL": "http://search-key.broker.internal",
    }
