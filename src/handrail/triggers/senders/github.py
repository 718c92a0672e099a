"""GitHub webhooks (https://docs.github.com/en/webhooks/webhook-events-and-payloads)."""

from __future__ import annotations

from handrail.triggers import Hook, Message, Settings
from handrail.triggers.fields import digest, number, text, word
from handrail.triggers.signatures import header, hmac_hex
from handrail.types import Json


def verify(hook: Hook, secret: str, settings: Settings) -> None:  # noqa: ARG001
    """X-Hub-Signature-256 (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries)."""
    hmac_hex(hook, "X-Hub-Signature-256", secret, prefix="sha256=")


def read(hook: Hook, payload: Json) -> Message:
    """See `Sender.read`."""
    return message(header(hook, "X-GitHub-Event"), payload, hook.headers.get("x-github-delivery"))


def message(event: str, payload: Json, delivery: str | None) -> Message:
    """What a payload of this event says; polls make the same payloads, and so the same meanings."""
    action = text(payload, "action")
    repository = text(payload, "repository", "full_name")
    return Message(
        event=event,
        payload=payload,
        delivery=delivery,
        meaning=_meaning(event, action, repository, payload),
        action=action,
        sender=text(payload, "sender", "login") or text(payload, "pusher", "name"),
        repository=repository,
        number=number(payload, "pull_request", "number") or number(payload, "issue", "number"),
        ref=text(payload, "pull_request", "head", "sha") or text(payload, "after") or text(payload, "ref"),
        text=_text(payload),
    )


def _text(payload: Json) -> str:
    for part in ("comment", "review", "pull_request", "issue", "release"):
        if found := text(payload, part, "body"):
            return found
    return ""


def _meaning(event: str, action: str | None, repository: str | None, payload: Json) -> str:
    """What makes two deliveries one thing: an App and a repository's own hook both tell of the same comment."""
    parts = [event, action or "", repository or ""]
    match event:
        case "push":
            parts += [word(payload, "ref"), word(payload, "after")]
        case "issue_comment" | "commit_comment" | "pull_request_review_comment" | "discussion_comment":
            parts += [word(payload, "comment", "id"), *_when(action, payload, "comment")]
        case "pull_request_review":
            parts += [word(payload, "review", "id"), word(payload, "review", "state")]
        case "pull_request":
            parts += [word(payload, "pull_request", "number"), *_when(action, payload, "pull_request")]
            if action != "opened":  # its branch may have been pushed to since
                parts.append(word(payload, "pull_request", "head", "sha"))
        case "issues":
            parts += [word(payload, "issue", "number"), *_when(action, payload, "issue")]
        case "check_run" | "check_suite" | "workflow_run" | "workflow_job" | "deployment_status":
            parts += [word(payload, event, key) for key in ("id", "status", "conclusion", "state", "run_attempt")]
        case "release":
            parts += [word(payload, "release", "id"), *([] if action == "published" else [digest(payload)])]
        case "status":
            parts += [word(payload, "id"), word(payload, "state")]
        case _:
            parts.append(digest(payload))
    return ":".join(parts)


def _when(action: str | None, payload: Json, what: str) -> list[str]:
    """When something was done, and with which label; what is done once, and may be edited since, needs no time."""
    if action in {"opened", "created", "synchronize"}:
        return []
    return [word(payload, "label", "name"), word(payload, what, "closed_at" if action == "closed" else "updated_at")]
