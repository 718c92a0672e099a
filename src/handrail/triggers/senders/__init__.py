"""Who can send events: a module each, with `verify` and `read` (`triggers.Sender`)."""

from __future__ import annotations

from enum import StrEnum


class SenderKind(StrEnum):
    """The kinds of senders."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"  # and Forgejo
    SLACK = "slack"
    STANDARD = "standard"  # Standard Webhooks
    ALERTMANAGER = "alertmanager"
    DATADOG = "datadog"
    GENERIC = "generic"
