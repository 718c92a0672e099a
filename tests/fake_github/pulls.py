"""Pull requests of the double: opened, updated, reviewed and merged by real git."""

from __future__ import annotations

from typing import Any

from tests.fake_github.api import Answer, Asked, Refusal, Served, clean, labels_of, repository_of, user_of
from tests.fake_github.repository import Repository, Text, stamp

_REPO = "/repos/{owner}/{repo}"
_PULL = f"{_REPO}/pulls/{{pull_number}}"
_STATES = {"COMMENT": "COMMENTED", "APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED"}


def _side(asked: Asked, found: Repository, ref: str, sha: str, base: Any) -> Any:
    owner = found.name.partition("/")[0]
    return {
        **base,
        "label": f"{owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "repo": {**base["repo"], **_shared(repository_of(asked, found), base["repo"])},
    }


def _shared(whole: Any, part: Any) -> Any:
    return {key: value for key, value in whole.items() if key in part}


async def _whole(asked: Asked, text: Text) -> Any:
    """A pull request as GitHub shows one alone."""
    found = asked.repository
    made = clean(asked.example(f"{_REPO}/pulls", "post", 201))
    added, removed, files = await found.size(text.base, text.head_sha)
    return {
        **made,
        "id": 1000 + text.number,
        "number": text.number,
        "title": text.title,
        "body": text.body,
        "state": text.state,
        "draft": text.draft,
        "user": user_of(text.login, made["user"]),
        "labels": labels_of(asked, text),
        "html_url": f"{asked.hub.url}/{found.name}/pull/{text.number}",
        "head": _side(asked, found, text.head, text.head_sha, made["head"]),
        "base": _side(asked, found, text.base, await found.head(text.base), made["base"]),
        "merged": text.merged is not None,
        "merge_commit_sha": text.merged,
        "additions": added,
        "deletions": removed,
        "changed_files": files,
        "created_at": text.created,
        "updated_at": text.updated,
        "closed_at": text.closed,
        "merged_at": text.closed if text.merged else None,
        "requested_teams": [],
        "auto_merge": None,
    }


def _in_list(asked: Asked, whole: Any) -> Any:
    """The same as GitHub shows it in a list: some keys are missing."""
    listed = clean(asked.example(f"{_REPO}/pulls", "get", 200)[0])
    return {**listed, **{key: value for key, value in whole.items() if key in listed}}


async def pulls(asked: Asked) -> Answer:
    """GET pull requests, the newest first, or those first that changed last."""
    found = asked.repository
    owner, query = found.name.partition("/")[0], asked.query
    kept = [
        text
        for text in found.pulls
        if query.get("state", "open") in {"all", text.state}
        and query.get("head", f"{owner}:{text.head}") == f"{owner}:{text.head}"
        and query.get("base", text.base) == text.base
    ]
    if query.get("sort") == "updated":
        kept.sort(key=lambda text: text.updated, reverse=True)
    shown = [_in_list(asked, await _whole(asked, text)) for text in kept]
    return asked.paged(shown, f"/repos/{found.name}/pulls")


async def new_pull(asked: Asked) -> Answer:
    """POST a pull request, with GitHub's own refusals."""
    found, given = asked.repository, asked.body
    head, base = str(given["head"]).rpartition(":")[2], str(given["base"])
    head_sha, base_sha = await found.head(head), await found.head(base)
    for name, sha in (("head", head_sha), ("base", base_sha)):
        if not sha:
            raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "field": name, "code": "invalid"}])
    owner = found.name.partition("/")[0]
    if any(text.head == head and text.base == base and text.state == "open" for text in found.pulls):
        said = f"A pull request already exists for {owner}:{head}."
        raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": said}])
    if not await found.ahead(base_sha, head_sha):
        said = f"No commits between {base} and {head}"
        raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": said}])
    text = found.add(
        str(given["title"]), given.get("body") or "", asked.login,
        head=head, base=base, head_sha=head_sha, draft=bool(given.get("draft")),
    )  # fmt: skip
    whole = await _whole(asked, text)
    told = {"action": "opened", "number": text.number, "pull_request": whole}
    asked.hub.send("pull_request", found, asked.login, told)
    return whole, 201, {}


async def pull(asked: Asked) -> Answer:
    """GET a pull request."""
    return await _whole(asked, asked.text("pull_number")), 200, {}


async def change_pull(asked: Asked) -> Answer:
    """PATCH a pull request."""
    text, given = asked.text("pull_number"), asked.body
    text.title, text.body = given.get("title", text.title), given.get("body", text.body)
    closing = given.get("state") == "closed" and text.state == "open"
    text.state, text.base = given.get("state", text.state), given.get("base", text.base)
    asked.repository.touch(text, "closed" if closing else None, asked.login)
    whole = await _whole(asked, text)
    action = "closed" if given.get("state") == "closed" else "edited"
    told = {"action": action, "number": text.number, "pull_request": whole}
    asked.hub.send("pull_request", asked.repository, asked.login, told)
    return whole, 200, {}


async def reviews(asked: Asked) -> Answer:
    """GET the reviews, the oldest first."""
    text = asked.text("pull_number")
    return asked.paged(text.reviews, f"/repos/{asked.repository.name}/pulls/{text.number}/reviews")


async def new_review(asked: Asked) -> Answer:
    """POST a review with comments on lines of files that the pull request changes."""
    text, given = asked.text("pull_number"), asked.body
    if text.login == asked.login and given.get("event") == "APPROVE":
        raise Refusal(422, "Unprocessable Entity", [{"message": "Can not approve your own pull request"}])
    made = asked.example(f"{_PULL}/reviews", "post", 200)
    number = 100_000 * text.number + len(text.reviews) + 1
    review = {
        **made,
        "id": number,
        "body": given.get("body") or "",
        "commit_id": given.get("commit_id") or text.head_sha,
        "state": _STATES[given["event"]],
        "user": user_of(asked.login, made["user"]),
        "html_url": f"{asked.hub.url}/{asked.repository.name}/pull/{text.number}#pullrequestreview-{number}",
        "submitted_at": stamp(),
    }
    text.reviews.append(review)
    for item in given.get("comments") or []:
        text.review_comments.append({**item, "id": number * 10 + len(text.review_comments), "at": stamp()})
    asked.repository.touch(text)
    shown = {**review, "state": review["state"].lower()}  # webhooks spell it so
    told = {"action": "submitted", "review": shown, "pull_request": await _whole(asked, text)}
    asked.hub.send("pull_request_review", asked.repository, asked.login, told)
    return review, 200, {}


async def review_comments(asked: Asked) -> Answer:
    """GET the comments on lines."""
    made = asked.example(f"{_REPO}/pulls/comments", "get", 200)[0]
    url = f"{asked.hub.url}/api/v3/repos/{asked.repository.name}/pulls"
    found = [
        {
            **made,
            **{name: item[name] for name in ("id", "path", "body")},
            "line": item.get("line"),
            "pull_request_url": f"{url}/{text.number}",
            "created_at": item["at"],
            "updated_at": item["at"],
        }
        for text in asked.repository.texts.values()
        for item in text.review_comments
        if item["at"] >= asked.query.get("since", "")
    ]
    return asked.paged(found, f"/repos/{asked.repository.name}/pulls/comments")


async def merge(asked: Asked) -> Answer:
    """PUT: merge by real git, with GitHub's own refusals."""
    text, found, given = asked.text("pull_number"), asked.repository, asked.body
    if text.state != "open":
        raise Refusal(405, "Pull Request is not mergeable")
    if given.get("sha") and given["sha"] != text.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    approved = any(review["state"] == "APPROVED" for review in text.reviews)
    if text.base in found.reviews_needed and not approved:
        raise Refusal(405, "At least 1 approving review is required by reviewers with write access.")
    commit = await found.merge(text, given.get("merge_method", "merge"))
    if commit is None:
        raise Refusal(405, "Pull Request is not mergeable")
    text.merged = commit
    found.touch(text, "closed", asked.login)
    told = {"action": "closed", "number": text.number, "pull_request": await _whole(asked, text)}
    asked.hub.send("pull_request", found, asked.login, told)
    return {"merged": True, "message": "Pull Request successfully merged", "sha": commit}, 200, {}


ROUTES = [
    Served("get", f"{_REPO}/pulls", pulls),
    Served("post", f"{_REPO}/pulls", new_pull),
    Served("get", f"{_REPO}/pulls/comments", review_comments),
    Served("get", _PULL, pull),
    Served("patch", _PULL, change_pull),
    Served("put", f"{_PULL}/merge", merge),
    Served("get", f"{_PULL}/reviews", reviews),
    Served("post", f"{_PULL}/reviews", new_review),
]
