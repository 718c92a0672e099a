from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handrail.errors import InvalidInput, MissingPart
from handrail.notify import Occasion
from handrail.notify.email import Email
from handrail.notify.settings import Settings, load
from handrail.notify.slack import Slack

SECRET = "whsec_" + "a" * 32


def read(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "notify.toml").write_text(text)
    return load(folder, environ)


def test_no_file_is_no_channel(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Settings({})


def test_channels_by_kind_or_by_name(tmp_path: Path) -> None:
    told = read(
        tmp_path,
        """
        public_url = "https://handrail.example.com/"
        after = 0
        [desktop]
        [slack]
        token = "env:SLACK_TOKEN"
        channel = "C1"
        events = ["escalations"]
        [boss]
        kind = "email"
        host = "mail.example.com"
        sender = "handrail@example.com"
        to = ["boss@example.com"]
        """,
        SLACK_TOKEN="xoxb-secret",
    )
    assert (told.public_url, told.after, told.tries) == ("https://handrail.example.com", 0.0, 10)
    assert {name: item.kind for name, item in told.channels.items()} == {
        "desktop": "desktop", "slack": "slack", "boss": "email",
    }  # fmt: skip
    slack, boss = told.channels["slack"], told.channels["boss"]
    assert slack.channel == Slack("xoxb-secret", "C1")
    assert "secret" not in repr(told)
    assert isinstance(boss.channel, Email)
    assert {occasion for occasion in Occasion if slack.wants(occasion)} == {Occasion.ESCALATED, Occasion.TEST}
    # a message of an effect names its channel and asks no other
    assert {occasion for occasion in Occasion if not boss.wants(occasion)} == {Occasion.MESSAGE}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[slack", "make it valid TOML"),
        ("colour = 1", "notify.toml: colour: 1 cannot be used"),
        ("after = -1", "notify.toml: after: -1 cannot be used: give a number from 0"),
        ("after = true", "notify.toml: after: True"),
        ("tries = 0", "notify.toml: tries: 0"),
        ('public_url = "example.com"', "notify.toml: public_url: 'example.com'"),
        ("public_url = 7", "notify.toml: public_url: 7"),
        ("[pigeon]", "notify.toml: pigeon.kind: 'pigeon' cannot be used: choose one of desktop"),
        ('[Ops]\nkind = "desktop"', "notify.toml: Ops: 'Ops' cannot be used: name a channel"),
        ("[desktop]\nevents = []", "notify.toml: desktop.events: []"),
        ('[desktop]\nevents = ["all"]', "notify.toml: desktop.events: ['all']"),
        ("[desktop]\ncolour = 1", "notify.toml: desktop.colour: 1 cannot be used: known settings are"),
        ('[slack]\ntoken = "x"', "notify.toml: slack.channel: None cannot be used: slack needs it"),
        ('[slack]\ntoken = 7\nchannel = "C"', "notify.toml: slack.token: 7 cannot be used: give a text"),
        ('[slack]\ntoken = ""\nchannel = "C"', "notify.toml: slack.token: ''"),
        ('[slack]\ntoken = "env:NOT_SET"\nchannel = "C"', "set that variable where the server is started"),
        (f'[webhook]\nurl = "x"\nsecret = "{SECRET}"', "notify.toml: webhook.url: 'x'"),
        ('[webhook]\nurl = "http://x"\nsecret = "abc"', "notify.toml: webhook.secret: '…'"),
        (f'[webhook]\nurl = "http://x"\nsecret = "{SECRET}"\nclock = "x"', "webhook.clock: 'x'"),
        ('[email]\nhost="h"\nsender="a@b.de"\nto="a@b.de"\nport="x"', "email.port: 'x' cannot be used: give a whole"),
        ('[email]\nhost="h"\nsender="a@b.de"\nto=[1]', "email.to: [1] cannot be used: give a list of texts"),
    ],
)
def test_the_first_fault_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tmp_path, text)
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message


def test_an_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "handrail.notify.email", None)
    with pytest.raises(MissingPart, match=r"pip install 'handrail\[notify\]'"):
        read(tmp_path, "[email]")
