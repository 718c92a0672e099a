"""The HTTP API, a file a tag: each has thin handlers and the `TABLE` that says all about them."""

from __future__ import annotations

from handrail.web.api import (
    agents,
    approvals,
    budgets,
    changes,
    effects,
    events,
    forges,
    members,
    notify,
    promotion,
    providers,
    rules,
    runs,
    secrets,
    sessions,
    system,
    unseen,
    workflows,
)

TABLE = (
    *sessions.TABLE,
    *changes.TABLE,
    *approvals.TABLE,
    *rules.TABLE,
    *events.TABLE,
    *notify.TABLE,
    *agents.TABLE,
    *providers.TABLE,
    *forges.TABLE,
    *workflows.TABLE,
    *promotion.TABLE,
    *secrets.TABLE,
    *runs.TABLE,
    *effects.TABLE,
    *unseen.TABLE,
    *budgets.TABLE,
    *members.TABLE,
    *system.TABLE,
)
