"""GitLab webhooks (https://docs.gitlab.com/user/project/integrations/webhook_events/), told in GitHub's words.

Beside GitLab's own fields the payload gets `pull_request`, `issue`, `comment`, `workflow_run` (of a pipeline), `sender`
and `repository.full_name` as GitHub has them, so that one workflow serves both.
"""

from __future__ import annotations

from datetime import UTC, datetime

from handrail.triggers import Hook, Message, Settings
from handrail.triggers.fields import at, digest, number, text, word
from handrail.triggers.signatures import shared
from handrail.types import Json

_EVENTS = {
    "merge_request": "pull_request", "issue": "issues", "note": "issue_comment", "pipeline": "workflow_run",
    "build": "workflow_job", "tag_push": "create",
}  # fmt: skip
_CONCLUSIONS = {"success": "success", "failed": "failure", "canceled": "cancelled", "skipped": "skipped"}
_ACTIONS = {"open": "opened", "close": "closed", "merge": "closed", "reopen": "reopened", "update": "edited"}


def verify(hook: Hook, secret: str, settings: Settings) -> None:  # noqa: ARG001
    """X-Gitlab-Token holds the secret itself."""
    shared(hook, "X-Gitlab-Token", secret)


def read(hook: Hook, payload: Json) -> Message:
    """See `Sender.read`."""
    return message("", payload, hook.headers.get("idempotency-key") or hook.headers.get("x-gitlab-event-uuid"))


def message(_: str, payload: Json, delivery: str | None) -> Message:
    """What a payload says; polls make the same payloads, and so the same meanings."""
    kind = text(payload, "object_kind") or text(payload, "event_name") or "unknown"
    told = _told(kind, payload)
    repository = text(payload, "project", "path_with_namespace")
    return Message(
        event=_EVENTS.get(kind, kind),
        payload=told,
        delivery=delivery,
        meaning=":".join([kind, repository or "", *_meaning(kind, payload)]),
        action=_action(kind, payload),
        sender=text(told, "sender", "login"),
        repository=repository,
        number=number(told, "pull_request", "number") or number(told, "issue", "number"),
        ref=text(told, "pull_request", "head", "sha") or text(payload, "after"),
        text=text(payload, "object_attributes", "note") or text(payload, "object_attributes", "description") or "",
    )


def _action(kind: str, payload: Json) -> str | None:
    if kind == "note":
        return "created"
    if kind in {"pipeline", "build"}:
        status = text(payload, "object_attributes", "status") or text(payload, "build_status")
        return "completed" if status in {"success", "failed", "canceled", "skipped"} else status
    if kind == "merge_request" and text(payload, "object_attributes", "oldrev"):
        return "synchronize"
    action = text(payload, "object_attributes", "action")
    return None if action is None else _ACTIONS.get(action, action)


def _meaning(kind: str, payload: Json) -> list[str]:
    own = at(payload, "object_attributes")
    action = word(own, "action")
    match kind:
        case "push" | "tag_push":
            return [word(payload, "ref"), word(payload, "after")]
        case "note":  # older GitLabs name no action: there is but one
            return [word(own, "id"), *(["update", word(own, "updated_at")] if action == "update" else ["create"])]
        case "merge_request" | "issue" if action in {"open", "merge"}:  # once in its life, and it may be edited since
            return [word(own, "id"), action]
        case "merge_request" if word(own, "oldrev"):
            return [word(own, "id"), "update", word(own, "last_commit", "id")]
        case "merge_request" | "issue" | "pipeline":
            said = [word(own, "id"), action, word(own, "status"), _second(word(own, "updated_at"))]
            return [*said, word(own, "last_commit", "id")]
        case _:
            return [digest(payload)]


def _second(text: str) -> str:
    """A time as one word, whatever the form that this GitLab writes it in."""
    try:
        moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        return text
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _told(kind: str, payload: Json) -> Json:
    """The payload with what GitHub's would hold too."""
    own, told = at(payload, "object_attributes"), dict(payload)
    project = at(payload, "project")
    told["repository"] = {
        "full_name": text(project, "path_with_namespace"),
        "clone_url": text(project, "git_http_url"),
        "default_branch": text(project, "default_branch"),
        "html_url": text(project, "web_url"),
    }
    told["sender"] = {"login": text(payload, "user", "username") or text(payload, "user_username")}
    request = own if kind == "merge_request" else at(payload, "merge_request")
    if isinstance(request, dict):
        source = text(request, "source", "path_with_namespace")
        head = {"sha": text(request, "last_commit", "id"), "ref": text(request, "source_branch")}
        told["pull_request"] = _subject(request) | {
            "head": head if source is None else {**head, "repo": {"full_name": source}},
            "base": {"ref": text(request, "target_branch")},
            "draft": at(request, "draft"),
            "merged": text(request, "state") == "merged",
        }
    issue = own if kind == "issue" else at(payload, "issue")
    if isinstance(issue, dict):
        told["issue"] = _subject(issue)
    if kind == "pipeline":
        told["workflow_run"] = {
            "id": at(own, "id"), "name": text(own, "name") or "pipeline", "head_sha": text(own, "sha"),
            "head_branch": text(own, "ref"), "conclusion": _CONCLUSIONS.get(word(own, "status")),
            "html_url": text(own, "url"),
        }  # fmt: skip
    if kind == "note":
        told["comment"] = {"id": at(own, "id"), "body": text(own, "note"), "html_url": text(own, "url")}
    return told


def _subject(of: object) -> Json:
    return {
        "number": number(of, "iid"),
        "title": text(of, "title"),
        "body": text(of, "description"),
        "state": text(of, "state"),
        "html_url": text(of, "url"),
    }
