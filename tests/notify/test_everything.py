from __future__ import annotations

import json

import pytest

from handrail.errors import InvalidInput
from tests.notify.conftest import message
from tests.notify.servers import Hook

pytest.importorskip("apprise", reason="the extra `apprise` is not installed")

from handrail.notify.everything import Everything  # needs the extra

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")  # apprise imports it


async def test_apprise_delivers_and_says_when_it_could_not(far: Hook) -> None:
    channel = Everything(far.url.replace("http://", "json://"))
    assert await channel.send(message(urgent=True)) is None
    told = json.loads(far.got[0].body)
    assert told["title"] == "Waits for you: rm -rf <build>"
    assert "token=aaa" in told["message"]
    assert told["type"] == "warning"
    far.answers = [(500, b"")]
    failure = await channel.send(message())
    assert failure is not None
    assert not failure.lasting


@pytest.mark.parametrize("url", ["", "nothing://at.all", "no address"])
def test_an_address_that_apprise_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        Everything(url)
