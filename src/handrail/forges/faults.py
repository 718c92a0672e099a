"""The ways in which a forge refuses or fails, each with a stable `cause`.

ForgeError
├── TokenRefused      token_refused      401: revoked, expired or never valid
├── NotPermitted      not_permitted      403: valid, but not for this
├── ProtectedBranch   protected_branch   rules of the branch forbid it
├── MergeConflict     merge_conflict     it cannot be merged as it is
├── StaleHead         stale_head         somebody moved the branch meanwhile
├── AlreadyThere      already_exists     there is one already, and it is not ours
├── EmptyChange       empty_change       nothing lies between the two branches
├── NotThere          not_found          404: no such thing, or not to be seen with this credential
├── Refused           refused            the forge says no for a reason of its own
├── Unsupported       unsupported        this kind of forge has no such act
├── RateLimited       rate_limited       too many calls; `wait` says for how long (passing)
└── ForgeDown         forge_down         5xx, no connection, no answer in time (passing)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from handrail.errors import ForgeError
from handrail.types import now


class TokenRefused(ForgeError):
    """The credential is not taken: revoked, expired or never valid."""

    cause = "token_refused"


class NotPermitted(ForgeError):
    """The credential is valid, but not for this."""

    cause = "not_permitted"


class ProtectedBranch(ForgeError):
    """Rules of the branch forbid it."""

    cause = "protected_branch"


class MergeConflict(ForgeError):
    """It cannot be merged as it is."""

    cause = "merge_conflict"


class StaleHead(ForgeError):
    """Somebody moved the branch meanwhile."""

    cause = "stale_head"


class AlreadyThere(ForgeError):
    """There is one already, and it is not ours."""

    cause = "already_exists"


class EmptyChange(ForgeError):
    """Nothing lies between the two branches."""

    cause = "empty_change"


class NotThere(ForgeError):
    """No such thing, or not to be seen with this credential."""

    cause = "not_found"


class Refused(ForgeError):
    """The forge says no for a reason of its own; `answered` is the status of its answer, 0 for git's."""

    cause = "refused"
    answered: int = 0


class Unsupported(ForgeError):
    """This kind of forge has no such act."""

    cause = "unsupported"


class RateLimited(ForgeError):
    """Too many calls; `wait` says for how long nothing more should be asked."""

    cause = "rate_limited"
    passing = True


class ForgeDown(ForgeError):
    """The forge failed or could not be reached."""

    cause = "forge_down"
    passing = True


_LIMITS = ("rate limit", "abuse detection", "too many requests")
_RULES = (
    "protected branch",
    "required status",
    "approving review",
    "rule violations",
    "ruleset",
    "not allowed to push",
)
_THERE = ("already exists", "already open", "already have a merge request")
_EMPTY = ("no commits between", "no changes between", "branches are equal", "there are no changes")


def of_answer(what: str, status: int, headers: Mapping[str, str], said: str) -> ForgeError:
    """The error for an HTTP answer of 300 or more.

    Args:
        what: the act, as the beginning of a sentence: "GitHub: opening the pull request in a/b".
        status: the answer's.
        headers: the answer's, with lower case names.
        said: the forge's own words, whatever they are.
    """
    words, told = said.lower(), _printable(said)
    wait = waiting(headers)
    if status == 429 or (status == 403 and (wait is not None or any(word in words for word in _LIMITS))):
        return RateLimited(f"{what} must wait: the forge takes no more calls now", wait=60.0 if wait is None else wait)
    if status >= 500 or status == 408:
        return ForgeDown(f"{what} failed: the forge answered {status}", wait=wait)
    if status == 401:
        return TokenRefused(f"{what} failed: the credential is not taken (revoked or expired); set a new one")
    if any(word in words for word in _RULES):
        return ProtectedBranch(f"{what} is forbidden by the rules of the branch: {told}")
    if status == 403:
        return NotPermitted(f"{what} is not permitted with this credential: {told}")
    if status in {404, 410}:
        return NotThere(f"{what} failed: the forge has no such thing, or this credential may not see it")
    if any(word in words for word in _THERE):
        return AlreadyThere(f"{what} failed: there is one already: {told}")
    if any(word in words for word in _EMPTY):
        return EmptyChange(f"{what} failed: nothing lies between the two branches")
    refused = Refused(f"{what} was refused ({status}): {told}")
    refused.answered = status
    return refused


def of_git(what: str, said: str) -> ForgeError:
    """The error for a git push, fetch or ls-remote that failed with `said` on its standard error."""
    words, told = said.lower(), _telling(said)
    answered = re.search(r"(?:returned error: |http )(\d{3})", words)
    status = int(answered[1]) if answered else 0
    if any(word in words for word in _RULES) or "gh006" in words or "gh013" in words:
        return ProtectedBranch(f"{what} is forbidden by the rules of the branch: {told}")
    if "stale info" in words or "fetch first" in words or "non-fast-forward" in words or "cannot lock ref" in words:
        return StaleHead(f"{what} was not done: somebody moved the branch meanwhile")
    if status == 401 or "authentication failed" in words or "could not read username" in words:
        return TokenRefused(f"{what} failed: the credential is not taken (revoked or expired); set a new one")
    if status == 429:
        return RateLimited(f"{what} must wait: the forge takes no more calls now", wait=60.0)
    if status == 403:
        return NotPermitted(f"{what} is not permitted with this credential: {told}")
    if status == 404 or "not found" in words or "does not appear to be a git repository" in words:
        return NotThere(f"{what} failed: there is no such repository, or this credential may not see it")
    unreachable = (
        "could not resolve",
        "failed to connect",
        "connection",
        "timed out",
        "hung up",
        "early eof",
        "took longer",
    )
    if status >= 500 or any(word in words for word in unreachable):
        return ForgeDown(f"{what} failed: {told}")
    return Refused(f"{what} was refused: {told}")


def waiting(headers: Mapping[str, str], at: datetime | None = None) -> float | None:
    """Seconds that an answer asks to wait: `retry-after`, else `x-ratelimit-reset` once nothing remains; else None.

    https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    """
    at = at or now()
    if after := headers.get("retry-after", "").strip():
        if after.isascii() and after.isdigit():
            return float(after[:9])
        try:
            moment = parsedate_to_datetime(after)
        except ValueError:
            return None
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - at.timestamp())
    remaining = headers.get("x-ratelimit-remaining") or headers.get("ratelimit-remaining")
    reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or ""
    if remaining == "0" and reset.isascii() and reset.isdigit():
        return max(0.0, float(reset[:12]) - at.timestamp())
    return None


def _telling(said: str) -> str:
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines()]
    chosen = [line for line in lines if line.startswith(("error:", "fatal:", "!"))] or [line for line in lines if line]
    return _printable(chosen[0] if chosen else "git gave no reason")


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300] or "it gave no reason"
