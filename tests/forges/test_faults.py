from __future__ import annotations

from datetime import UTC, datetime

import pytest

from handrail.errors import ForgeError
from handrail.forges import faults


@pytest.mark.parametrize(
    ("status", "headers", "said", "cause"),
    [
        (401, {}, "Bad credentials", "token_refused"),
        (403, {}, "Resource not accessible by personal access token", "not_permitted"),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"}, "API rate limit", "rate_limited"),
        (403, {}, "You have exceeded a secondary rate limit", "rate_limited"),
        (429, {}, "", "rate_limited"),
        (403, {}, "Changes must be made through a protected branch", "protected_branch"),
        (404, {}, "Not Found", "not_found"),
        (409, {}, "pull request already exists for these targets", "already_exists"),
        (422, {}, "Validation Failed; A pull request already exists for a:b.", "already_exists"),
        (422, {}, "Validation Failed; No commits between main and x", "empty_change"),
        (422, {}, "Validation Failed", "refused"),
        (301, {}, "Moved Permanently", "refused"),
        (500, {}, "", "forge_down"),
        (503, {"retry-after": "5"}, "", "forge_down"),
    ],
)
def test_an_answer_has_its_cause(status: int, headers: dict[str, str], said: str, cause: str) -> None:
    error = faults.of_answer("GitHub: opening", status, headers, said)
    assert error.cause == cause
    assert error.message.startswith("GitHub: opening")
    assert "\n" not in error.message
    assert error.passing == (cause in {"rate_limited", "forge_down"})


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("remote: error: GH006: Protected branch update failed for refs/heads/main.", "protected_branch"),
        ("remote: GitLab: You are not allowed to push code to protected branches on this project.", "protected_branch"),
        (" ! [rejected] x -> x (stale info)\nerror: failed to push some refs", "stale_head"),
        ("fatal: Authentication failed for 'https://x/'", "token_refused"),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", "token_refused"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", "not_permitted"),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", "not_found"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 502", "forge_down"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "forge_down"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 429", "rate_limited"),
        ("error: something else", "refused"),
        ("", "refused"),
    ],
)
def test_gits_words_have_their_cause(said: str, cause: str) -> None:
    assert faults.of_git("pushing x", said).cause == cause


def test_every_fault_is_drawn_with_its_cause() -> None:
    drawn = faults.__doc__ or ""
    kinds = [item for item in vars(faults).values() if isinstance(item, type) and issubclass(item, ForgeError)]
    assert [item for item in kinds[1:] if f"{item.__name__} " not in drawn or item.cause not in drawn] == []


def test_how_long_an_answer_asks_to_wait() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert faults.waiting({"retry-after": "12"}, at) == 12
    assert faults.waiting({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, at) == 60
    assert faults.waiting({"retry-after": "soon"}, at) is None
    reset = str(int(at.timestamp()) + 30)
    assert faults.waiting({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}, at) == 30
    assert faults.waiting({"ratelimit-remaining": "0", "ratelimit-reset": reset}, at) == 30
    assert faults.waiting({"x-ratelimit-remaining": "9", "x-ratelimit-reset": reset}, at) is None
