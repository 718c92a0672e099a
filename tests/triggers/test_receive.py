from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from handrail.errors import InvalidInput
from handrail.triggers import Hook, Message, Settings, Unverified
from handrail.triggers.receive import SENDERS, ours, receive
from handrail.triggers.senders import SenderKind
from handrail.triggers.senders.github import message as github_message
from handrail.types import Json
from tests.triggers.hooks import NOW, SECRET, bearer, github, hexed, hook, key, slack

COMMENT: Json = {
    "action": "created",
    "comment": {"id": 7, "body": "please mend", "updated_at": "2026-11-26T11:00:00Z"},
    "issue": {"number": 12},
    "repository": {"full_name": "acme/app"},
    "sender": {"login": "alice"},
}


def got(kind: str, given: Hook, settings: Settings | None = None, secret: str = SECRET) -> Message:
    return receive(SenderKind(kind), given, secret, settings or Settings())


def test_every_kind_has_its_sender() -> None:
    assert set(SENDERS) == set(SenderKind)


def test_github_documents_this_signature() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    given = hook(b"Hello, World!", {"X-Hub-Signature-256": signature, "X-GitHub-Event": "ping"})
    SENDERS[SenderKind.GITHUB].verify(given, SECRET, Settings())
    with pytest.raises(InvalidInput, match="body"):
        got("github", given)


def test_a_github_comment_is_read() -> None:
    message = got("github", github("issue_comment", COMMENT))
    assert (message.event, message.action, message.sender) == ("issue_comment", "created", "alice")
    assert (message.repository, message.number, message.delivery) == ("acme/app", 12, "d-1")


def test_one_comment_under_two_deliveries_means_one_thing() -> None:
    """user-needs.md section 6, incident 3: an App and a repository's hook both tell of it."""
    first = got("github", github("issue_comment", COMMENT, delivery="a"))
    second = got("github", github("issue_comment", COMMENT | {"installation": {"id": 1}}, delivery="b"))
    assert first.delivery != second.delivery
    assert first.meaning == second.meaning
    later = json.loads(json.dumps(COMMENT))
    later["comment"]["updated_at"] = "2026-11-26T11:05:00Z"
    assert got("github", github("issue_comment", later)).meaning == first.meaning, "a poll that comes late"
    edits = [COMMENT | {"action": "edited"}, later | {"action": "edited"}]
    assert len({got("github", github("issue_comment", edit)).meaning for edit in edits} | {first.meaning}) == 3


def test_githubs_form_encoding_is_read() -> None:
    raw = b"payload=%7B%22action%22%3A%22opened%22%7D"
    headers = {
        "X-GitHub-Event": "issues",
        "X-Hub-Signature-256": "sha256=" + hexed(raw),
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    }
    assert got("github", hook(raw, headers)).action == "opened"


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("github", github("push", {}, secret="another")),
        ("github", hook({}, {"X-GitHub-Event": "push"})),
        ("gitlab", hook({}, {"X-Gitlab-Token": "another"})),
        ("gitea", hook({}, {"X-Gitea-Signature": "00", "X-Gitea-Event": "push"})),
        ("gitea", hook({}, {"X-Something": "else"})),
        ("slack", slack(b"{}", stamp=int(NOW.timestamp()), secret="another")),
        ("slack", slack(b"{}", stamp=int(NOW.timestamp()) - 400)),
        ("slack", slack(b"{}", stamp=int(NOW.timestamp()) + 400)),
        ("slack", hook({}, {"X-Slack-Request-Timestamp": "now", "X-Slack-Signature": "v0="})),
        ("alertmanager", bearer({}, "another")),
        ("datadog", hook({}, {"X-Handrail-Secret": "another"})),
        ("generic", hook({}, {"X-Handrail-Secret": "sécret"})),
        ("generic", hook({}, {})),
        ("standard", hook({}, {"webhook-id": "m", "webhook-timestamp": str(int(NOW.timestamp()))})),
    ],
)
def test_what_proves_nothing_is_refused(kind: str, given: Hook) -> None:
    with pytest.raises(Unverified):
        got(kind, given)


def test_standard_webhooks_agrees_with_its_own_library() -> None:
    secret = key(b"0123456789abcdef01234567")
    body = '{"type":"deploy.finished"}'
    signature = Webhook(secret).sign("msg_1", NOW, body)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": f"v1,bogus {signature}",
    }
    message = got("standard", hook(body.encode(), headers), secret=secret)
    assert (message.event, message.delivery) == ("deploy.finished", "msg_1")
    with pytest.raises(Unverified, match="away from this machine's clock"):
        got("standard", hook(body.encode(), headers, NOW + timedelta(minutes=6)), secret=secret)
    with pytest.raises(Unverified, match="signature"):
        got("standard", hook(body.encode() + b" ", headers), secret=secret)


def test_slack_answers_its_handshake_and_reads_events_and_commands() -> None:
    stamp = int(NOW.timestamp())
    shake = got("slack", slack(b'{"type":"url_verification","challenge":"abc"}', stamp=stamp))
    assert shake.reply == {"challenge": "abc"}
    event = {
        "event_id": "Ev1",
        "event": {"type": "app_mention", "user": "U1", "text": "hi", "channel": "C1", "ts": "1.2"},
    }
    message = got("slack", slack(json.dumps(event).encode(), stamp=stamp))
    assert (message.event, message.sender, message.delivery, message.meaning) == (
        "app_mention",
        "U1",
        "Ev1",
        "app_mention:C1:1.2",
    )
    body = b"command=%2Ffix&text=the+build&user_name=bob&trigger_id=9"
    message = got("slack", slack(body, stamp=stamp, kind="application/x-www-form-urlencoded"))
    assert (message.event, message.action, message.text) == ("command", "/fix", "the build")


def test_slack_documents_this_signature() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack/."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    given = hook(body, headers, datetime.fromtimestamp(1531420618, UTC))
    assert got("slack", given, secret="8f742231b10e8888abcd99yyyzzz85a5").action == "/webhook-collect"


def test_gitlab_tells_in_githubs_words() -> None:
    payload: Json = {
        "object_kind": "merge_request",
        "user": {"username": "alice"},
        "project": {"path_with_namespace": "acme/app", "git_http_url": "https://gitlab.example/acme/app.git"},
        "object_attributes": {
            "id": 1, "iid": 5, "action": "open", "title": "Mend it", "description": "please", "source_branch": "fix",
            "target_branch": "main", "last_commit": {"id": "abc"}, "state": "opened", "url": "https://gitlab.example/5",
        },
    }  # fmt: skip
    message = got("gitlab", hook(payload, {"X-Gitlab-Token": SECRET, "Idempotency-Key": "u-1"}))
    assert (message.event, message.action, message.number) == ("pull_request", "opened", 5)
    assert message.payload["pull_request"] == {
        "number": 5, "title": "Mend it", "body": "please", "state": "opened", "html_url": "https://gitlab.example/5",
        "head": {"sha": "abc", "ref": "fix"}, "base": {"ref": "main"}, "draft": None, "merged": False,
    }  # fmt: skip
    assert message.payload["object_kind"] == "merge_request"
    assert message.delivery == "u-1"


@pytest.mark.parametrize("prefix", ["X-Gitea", "X-Forgejo"])
def test_gitea_and_forgejo_sign_without_a_prefix(prefix: str) -> None:
    raw = json.dumps(COMMENT).encode()
    headers = {f"{prefix}-Event": "issue_comment", f"{prefix}-Delivery": "d-9", f"{prefix}-Signature": hexed(raw)}
    message = got("gitea", hook(raw, headers))
    assert (message.event, message.delivery, message.number) == ("issue_comment", "d-9", 12)


def test_an_alert_that_is_told_again_means_the_same() -> None:
    firing: Json = {
        "status": "firing", "groupKey": '{}:{alertname="Down"}', "receiver": "handrail",
        "alerts": [{"status": "firing", "fingerprint": "f1", "startsAt": "2026-11-26T11:00:00Z"}],
        "commonAnnotations": {"summary": "it is down"},
    }  # fmt: skip
    first = got("alertmanager", bearer(firing))
    assert (first.event, first.action, first.text) == ("alert", "firing", "it is down")
    assert got("alertmanager", bearer(firing | {"truncatedAlerts": 0})).meaning == first.meaning
    assert got("alertmanager", bearer(firing | {"status": "resolved"})).meaning != first.meaning
    later = json.loads(json.dumps(firing))
    later["alerts"][0]["startsAt"] = "2026-11-26T15:00:00Z"
    assert got("alertmanager", bearer(later)).meaning != first.meaning


def test_datadogs_transitions_have_one_word_each() -> None:
    payload: Json = {"id": "1", "transition": "Re-Triggered", "key": "k", "title": "[P1] slow", "host": "web-1"}
    message = got("datadog", hook(payload, {"X-Handrail-Secret": SECRET}))
    assert (message.event, message.action, message.text, message.meaning) == (
        "alert",
        "firing",
        "[P1] slow",
        "alert:k:Re-Triggered:1",
    )


def test_any_other_sender_signs_or_shares_a_secret() -> None:
    body = b'{"event": "deploy", "repository": "acme/app"}'
    signed = Settings(header="X-Sig", prefix="sha256=", signed=True)
    for wrong in ("sha256=" + hexed(body, "another"), hexed(body), f"sha256={SECRET}"):
        with pytest.raises(Unverified):
            got("generic", hook(body, {"X-Sig": wrong}), signed)
    message = got("generic", hook(body, {"X-Sig": "sha256=" + hexed(body)}), signed)
    assert (message.event, message.repository, message.delivery) == ("deploy", "acme/app", None)
    assert message.window < timedelta(hours=1)
    shared = Settings(header="Authorization", prefix="Bearer ")
    assert (
        got("generic", hook(body, {"Authorization": f"Bearer {SECRET}", "X-Request-Id": "r-1"}), shared).delivery
        == "r-1"
    )


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nothing", b"\xff\xfe", b'{"a": NaN}', b"[" * 9000, b'{"a":' * 70 + b"1" + b"}" * 70]
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="body"):
        got("generic", hook(body, {"X-Handrail-Secret": SECRET}))


def test_our_own_acts_are_known() -> None:
    message = got("github", github("issue_comment", COMMENT))
    app = Settings(account="handrail[bot]")
    person = Settings(account="Alice")
    assert ours(message, Settings()) is None
    assert ours(message, person) is None, "a person whose token is used also acts themselves"
    marked = replace(message, text="done <!-- handrail:k1 -->")
    assert ours(marked, person) is not None
    assert ours(marked, Settings()) is not None
    assert ours(replace(marked, sender="mallory"), person) is None, "quoting our mark hides nobody's act"
    assert ours(replace(message, sender="handrail[bot]"), app) is not None
    ended = replace(marked, event="pull_request", action="closed", payload={"pull_request": {"merged": False}})
    assert (ours(ended, person), ours(ended, Settings())) == (None, None), "it bears our mark, and a person closed it"
    assert ours(replace(ended, sender="handrail[bot]"), app) is not None
    assert ours(replace(ended, payload={"pull_request": {"merged": True}}), person) is not None
    push = replace(message, event="push", payload={"ref": "refs/heads/handrail/nightly-1"})
    assert ours(push, person) is not None
    for context, own in (("handrail/review", True), ("handrail", True), ("ci/handrail", False)):
        status = replace(message, event="status", payload={"context": context, "state": "failure"})
        assert (ours(status, person) is not None) == own, (
            "a failure that we say is no failed check of what we delivered"
        )


@pytest.mark.parametrize(("of", "own"), [("acme/app", True), ("mallory/app", False), (None, False)])
def test_a_poll_that_cannot_tell_who_pushed_takes_our_branches_for_ours_but_not_those_of_forks(
    of: str | None, *, own: bool
) -> None:
    repo = None if of is None else {"full_name": of}
    head = {"ref": "handrail/nightly-1", "sha": "a" * 40, "repo": repo}
    told = {"action": "synchronize", "pull_request": {"number": 1, "head": head}, "repository": COMMENT["repository"]}
    message = github_message("pull_request", told, None)
    assert (ours(message, Settings(account="handrail-bot")) is not None) == own
