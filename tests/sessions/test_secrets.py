"""A secret that a task needs: its requests carry it, and nothing inside ever holds it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handrail.egress import Broker, Permit
from handrail.egress.vault import Vault
from handrail.errors import InvalidInput, SandboxError
from handrail.kinds import Kind
from handrail.sessions.rules import CEILING
from handrail.types import Permissions, SandboxKind
from tests.egress.conftest import lab as lab  # noqa: PLC0414  # a fixture of that room
from tests.egress.lab import Lab, Upstream, server_tls
from tests.sessions.conftest import Open
from tests.sessions.test_hosts import said

pytestmark = [
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.timeout(120),
]
SECRET = "live-" + "k" * 24
PATTERN = "live-k\\{24\\}"
"""finds it without holding it: what an agent is told stands in files and memory inside"""
SEARCH = (
    f"cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -ac '{PATTERN}';"
    f" grep -rasl '{PATTERN}' /home /tmp /etc /run /var \"$HOME\" . 2>/dev/null | wc -l"
)
CALL = 'curl -sS -H "X-Api-Key: $SEARCH_KEY" "$SEARCH_KEY_URL/v1/find?q=1"; echo'


async def test_requests_carry_it_and_nothing_inside_holds_it(open_house: Open, lab: Lab) -> None:
    echo = f"HTTP/1.1 200 OK\r\nContent-Length: {len(SECRET) + 4}\r\n\r\nkey={SECRET}".encode()
    upstream = await lab.upstream(Upstream(answer=echo), server_tls(lab.folder / "tls" / "both.pem"))
    vault = Vault()
    url = f"https://api.example.com:{upstream.port}"
    vault.put("SEARCH_KEY", Broker("search-key", url, "X-Api-Key", SECRET, permits=(Permit("GET", "/v1"),)))
    async with open_house(egress=lab.egress, vault=vault) as house:
        session = await house.new(secrets=("SEARCH_KEY",), permissions=Permissions.ALLOW)
        other = 'curl -sS -X POST "$SEARCH_KEY_URL/v2"; echo'
        steps: list[dict[str, object]] = [{"shell": each} for each in ("env", CALL, SEARCH, other)]
        await house.say(session, [*steps, {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED)
        env, called, search, refused = await said(house, session)
        assert "SEARCH_KEY=handrail-placeholder-search-key" in env
        assert called == "key=" + "*" * len(SECRET)
        assert search.split() == ["0", "0"]
        assert "does not let POST /v2 through" in refused
        assert f"X-Api-Key: {SECRET}".encode().lower() in upstream.received[0].lower()
        assert b"placeholder" not in upstream.received[0]
        (created,) = await house.events(session, Kind.SESSION_CREATED)
        assert created.data["secrets"] == ["SEARCH_KEY"]
        everything = [str(event.data) for event in await house.events(session)]
        assert not [text for text in everything if SECRET in text]
        # one that is removed goes with no further request, while the agent still runs
        vault.drop("SEARCH_KEY")
        await house.say(session, [{"shell": CALL}, {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED, count=2)
        assert "is no broker" in (await said(house, session))[-1]
        assert len(upstream.received) == 1
        denied = [one for one in await house.events(session, Kind.NETWORK_DECIDED) if one.data["verdict"] == "denied"]
        assert {one.data["host"] for one in denied} == {"search-key.broker.internal"}


async def test_who_may_be_given_which(open_house: Open, tmp_path: Path) -> None:
    vault = Vault()
    for name in ("SEARCH_KEY", "OTHER"):
        vault.put(name, Broker(name.lower().replace("_", "-"), "https://api.example.com", "X-Api-Key", SECRET))
    async with open_house(vault=vault) as house:
        with pytest.raises(InvalidInput, match="secrets: 'NONE' cannot be used: set it with `handrail secrets set`"):
            await house.new(secrets=("NONE",))
        with pytest.raises(SandboxError, match="do not keep SEARCH_KEY from the agent"):
            await house.new(secrets=("SEARCH_KEY",), sandbox=SandboxKind.NONE)
        ceiling = tmp_path / "data" / CEILING
        ceiling.write_text("secrets: [SEARCH_KEY]\n")
        with pytest.raises(InvalidInput, match="'OTHER' cannot be used: the team policy lets SEARCH_KEY be given"):
            await house.new(policy="secrets: [OTHER]")
        assert not (tmp_path / "data" / "sessions").exists()
        session = await house.new(policy="secrets: [SEARCH_KEY]", permissions=Permissions.ALLOW)
        await house.say(session, [{"shell": "echo $SEARCH_KEY_URL"}, {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED)
        assert await said(house, session) == ["http://search-key.broker.internal"]
        plain = await house.new(permissions=Permissions.ALLOW)  # a ceiling gives none by itself
        await house.say(plain, [{"shell": "echo [$SEARCH_KEY_URL]"}, {"text": "ok"}])
        await house.until(plain, Kind.TURN_ENDED)
        assert await said(house, plain) == ["[]"]
