from __future__ import annotations

import pytest

from handrail.commands import notify
from handrail.commands.actor import NOBODY, OWNER
from handrail.commands.desk import Desk
from handrail.errors import Forbidden, InvalidInput, NotFound


async def test_channels_are_listed_as_the_file_says_now(desk: Desk) -> None:
    told = await notify.listed(desk, OWNER)
    assert (told.file.name, told.channels, told.deliveries) == ("notify.toml", (), ())
    told.file.write_text('[desktop]\ncommand = "no-such-program"\n')
    (channel,) = (await notify.listed(desk, OWNER)).channels
    assert (channel.name, channel.kind, channel.events) == ("desktop", "desktop", ("approvals", "outcomes"))
    tried = await notify.try_out(desk, OWNER, "desktop")
    assert tried.failure is not None
    assert "no-such-program is not installed" in tried.failure.reason
    told.file.write_text("[pigeon]\n")
    with pytest.raises(InvalidInput, match="pigeon"):
        await notify.listed(desk, OWNER)


async def test_who_may_not_is_refused(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        await notify.listed(desk, NOBODY)
    with pytest.raises(Forbidden):
        await notify.try_out(desk, NOBODY, "desktop")
    with pytest.raises(NotFound):
        await notify.try_out(desk, OWNER, "pigeon")
