"""The REST calls that the double serves. Each answer is GitHub's example, overlaid with what is true here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fake_github import contract
from tests.fake_github.apps import Refusal
from tests.fake_github.repository import GitFailed, Repository, Text, git, stamp

if TYPE_CHECKING:
    from tests.fake_github.server import FakeGitHub

__all__ = ["ROUTES", "Asked", "Refusal"]
_REPO = "/repos/{owner}/{repo}"
_ISSUE = f"{_REPO}/issues/{{issue_number}}"
_PULL = f"{_REPO}/pulls/{{pull_number}}"
Answer = tuple[Any, int, dict[str, str]]


@dataclass
class Asked:
    """One request as a handler sees it."""

    hub: FakeGitHub
    login: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def repository(self) -> Repository:
        """The one of the path."""
        found = self.hub.repositories.get(f"{self.path['owner']}/{self.path['repo']}")
        if found is None:
            raise Refusal(404, "Not Found")
        return found

    def text(self, name: str) -> Text:
        """The issue or pull request of the path."""
        found = self.repository.texts.get(int(self.path[name]))
        if found is None or (name == "pull_number" and not found.head):
            raise Refusal(404, "Not Found")
        return found

    def example(self, path: str, method: str, status: int) -> Any:
        """GitHub's example, told of this repository."""
        name = f"{self.path['owner']}/{self.path['repo']}" if "repo" in self.path else "octocat/Hello-World"
        return contract.example(path, method, status, repository=name, url=self.hub.url)

    def paged(self, items: list[Any], url: str) -> Answer:
        """One page of a list."""
        size, page = int(self.query.get("per_page", 30)), int(self.query.get("page", 1))
        shown = items[(page - 1) * size : page * size]
        more = {}
        if page * size < len(items):
            query = "&".join(f"{key}={value}" for key, value in {**self.query, "page": page + 1}.items())
            more["link"] = f'<{self.hub.url}/api/v3{url}?{query}>; rel="next"'
        return shown, 200, more


@dataclass(frozen=True)
class Served:
    """One operation."""

    method: str
    path: str
    answer: Callable[[Asked], Awaitable[Answer]]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The parts of `path`, None where it is another operation's."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path).replace("(?P<branch>[^/]+)", "(?P<branch>.+)")
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found and method == self.method else None


def user_of(login: str, example: Any) -> Any:
    return {**example, "login": login, "type": "Bot" if login.endswith("[bot]") else "User"}


def clean(value: Any) -> Any:
    """GitHub's examples break GitHub's schemas in places: mend those."""
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items() if key != "archived_by"}
    return value


async def user(asked: Asked) -> Answer:
    """GET /user."""
    made = user_of(asked.login, asked.example("/user", "get", 200))
    return {**made, "user_view_type": "private"}, 200, {"x-oauth-scopes": asked.hub.scopes}


async def app(asked: Asked) -> Answer:
    """GET /app."""
    found = asked.hub.apps.known[asked.login.removeprefix("app:")]
    may = {"contents": "write", "pull_requests": "write", "issues": "write", "metadata": "read"}
    return {**asked.example("/app", "get", 200), "slug": found.slug, "permissions": may}, 200, {}


async def installation(asked: Asked) -> Answer:
    """GET the installation of a repository."""
    found = asked.hub.apps.known[asked.login.removeprefix("app:")]
    number = found.installations.get(asked.repository.name.partition("/")[0])
    if number is None:
        raise Refusal(404, "Not Found")
    return {**clean(asked.example(f"{_REPO}/installation", "get", 200)), "id": number, "app_slug": found.slug}, 200, {}


async def access_token(asked: Asked) -> Answer:
    """POST for a token of an installation."""
    found = asked.hub.apps.known[asked.login.removeprefix("app:")]
    if int(asked.path["installation_id"]) not in found.installations.values():
        raise Refusal(404, "Not Found")
    token, ends = asked.hub.apps.give(found)
    may = {"contents": "write", "pull_requests": "write", "issues": "write", "metadata": "read"}
    return {"token": token, "expires_at": ends, "permissions": may, "repository_selection": "all"}, 201, {}


def repository_of(asked: Asked, found: Repository) -> Any:
    made = clean(contract.example(_REPO, "get", 200, repository=found.name, url=asked.hub.url))
    owner, _, name = found.name.partition("/")
    return {
        **{key: value for key, value in made.items() if key not in {"source", "parent", "template_repository"}},
        "name": name,
        "full_name": found.name,
        "owner": user_of(owner, made["owner"]),
        "default_branch": found.default_branch,
        "archived": found.archived,
        "language": None,
        "clone_url": f"{asked.hub.url}/{found.name}.git",
        "permissions": {"admin": False, "push": True, "pull": True},
    }


async def repository(asked: Asked) -> Answer:
    """GET a repository."""
    return repository_of(asked, asked.repository), 200, {}


async def owned(asked: Asked) -> Answer:
    """GET the repositories of an organisation."""
    owner = asked.path["org"]
    found = [item for name, item in sorted(asked.hub.repositories.items()) if name.startswith(f"{owner}/")]
    if not found:
        raise Refusal(404, "Not Found")
    base = asked.example("/orgs/{org}/repos", "get", 200)[0]
    shown = [
        {**clean(base), "full_name": item.name, "name": item.name.partition("/")[2], "archived": item.archived}
        for item in found
    ]
    return asked.paged(shown, f"/orgs/{owner}/repos")


async def branch(asked: Asked) -> Answer:
    """GET a branch."""
    name = asked.path["branch"]
    head = await asked.repository.head(name)
    if not head:
        raise Refusal(404, "Branch not found")
    made = asked.example(f"{_REPO}/branches/{{branch}}", "get", 200)
    return {**made, "name": name, "commit": {**made["commit"], "sha": head}}, 200, {}


async def branches(asked: Asked) -> Answer:
    """GET the branches by name."""
    base = asked.example(f"{_REPO}/branches", "get", 200)[0]
    base.pop("protection", None)  # it breaks GitHub's own schema
    heads = await asked.repository.heads()
    shown = [{**base, "name": name, "commit": {**base["commit"], "sha": sha}} for name, sha in sorted(heads.items())]
    return asked.paged(shown, f"/repos/{asked.repository.name}/branches")


async def statuses(asked: Asked) -> Answer:
    """GET the statuses of a commit, the newest first."""
    kept = asked.repository.statuses.get(asked.path["ref"], [])
    return asked.paged(kept[::-1], f"/repos/{asked.repository.name}/commits/{asked.path['ref']}/statuses")


async def set_status(asked: Asked) -> Answer:
    """POST a status."""
    repository, sha = asked.repository, asked.path["sha"]
    try:
        await git("cat-file", "-e", f"{sha}^{{commit}}", cwd=repository.path)
    except GitFailed as error:
        raise Refusal(422, f"No commit found for SHA: {sha}") from error
    made = asked.example(f"{_REPO}/statuses/{{sha}}", "post", 201)
    kept = repository.statuses.setdefault(sha, [])
    given = {name: asked.body.get(name) for name in ("state", "context", "description", "target_url")}
    times = dict.fromkeys(("created_at", "updated_at"), stamp())
    kept.append({**made, **given, **times, "id": len(kept) + 1, "creator": user_of(asked.login, made["creator"])})
    asked.hub.send("status", repository, asked.login, {"id": len(kept), "sha": sha, **given, **times})
    return kept[-1], 201, {}


def _issue(asked: Asked, text: Text) -> Any:
    made = clean(asked.example(f"{_REPO}/issues", "post", 201))
    label = made["labels"][0]
    shown = {
        **made,
        "id": 1000 + text.number,
        "number": text.number,
        "title": text.title,
        "body": text.body,
        "state": text.state,
        "user": user_of(text.login, made["user"]),
        "labels": [{**label, "name": name} for name in text.labels],
        "comments": len(text.comments),
        "created_at": text.created,
        "updated_at": text.updated,
        "closed_at": text.closed,
        "html_url": f"{asked.hub.url}/{asked.repository.name}/issues/{text.number}",
    }
    if text.head:
        shown["html_url"] = f"{asked.hub.url}/{asked.repository.name}/pull/{text.number}"
    else:
        shown.pop("pull_request", None)
    return shown


async def issues(asked: Asked) -> Answer:
    """GET issues (and pull requests, which are issues too), the newest first."""
    wanted, since = asked.query.get("state", "open"), asked.query.get("since", "")
    found = [
        text
        for text in reversed(asked.repository.texts.values())
        if wanted in {"all", text.state} and text.updated >= since
    ]
    return asked.paged([_issue(asked, text) for text in found], f"/repos/{asked.repository.name}/issues")


async def new_issue(asked: Asked) -> Answer:
    """POST an issue."""
    given = asked.body
    labels = [str(label) for label in given.get("labels") or []]
    text = asked.repository.add(str(given["title"]), given.get("body") or "", asked.login, labels=labels)
    shown = _issue(asked, text)
    asked.hub.send("issues", asked.repository, asked.login, {"action": "opened", "issue": shown})
    return shown, 201, {}


async def issue(asked: Asked) -> Answer:
    """GET an issue."""
    return _issue(asked, asked.text("issue_number")), 200, {}


async def comments(asked: Asked) -> Answer:
    """GET the comments of an issue, the oldest first."""
    text = asked.text("issue_number")
    return asked.paged(text.comments, f"/repos/{asked.repository.name}/issues/{text.number}/comments")


async def new_comment(asked: Asked) -> Answer:
    """POST a comment."""
    text = asked.text("issue_number")
    made = asked.example(f"{_ISSUE}/comments", "post", 201)
    number = 100_000 * text.number + len(text.comments) + 1
    kind = "pull" if text.head else "issues"
    comment = {
        **made,
        "id": number,
        "body": asked.body["body"],
        "user": user_of(asked.login, made["user"]),
        "html_url": f"{asked.hub.url}/{asked.repository.name}/{kind}/{text.number}#issuecomment-{number}",
        "created_at": stamp(),
        "updated_at": stamp(),
    }
    text.comments.append(comment)
    asked.repository.touch(text)
    told = {"action": "created", "issue": _issue(asked, text), "comment": comment}
    asked.hub.send("issue_comment", asked.repository, asked.login, told)
    return comment, 201, {}


async def all_comments(asked: Asked) -> Answer:
    """GET the comments of all issues, the oldest first."""
    since = asked.query.get("since", "")
    found = [
        {**comment, "issue_url": f"{asked.hub.url}/api/v3/repos/{asked.repository.name}/issues/{text.number}"}
        for text in asked.repository.texts.values()
        for comment in text.comments
        if comment["updated_at"] >= since
    ]
    return asked.paged(found, f"/repos/{asked.repository.name}/issues/comments")


def labels_of(asked: Asked, text: Text) -> Any:
    base = asked.example(f"{_ISSUE}/labels", "post", 200)[0]
    return [{**base, "name": name} for name in text.labels]


async def labels(asked: Asked) -> Answer:
    """GET the labels of an issue."""
    return labels_of(asked, asked.text("issue_number")), 200, {}


async def add_labels(asked: Asked) -> Answer:
    """POST labels onto an issue."""
    text = asked.text("issue_number")
    for name in asked.body["labels"]:
        if name not in text.labels:
            text.labels.append(name)
            asked.repository.touch(text, "labeled", asked.login, label={"name": name, "color": "ededed"})
    return labels_of(asked, text), 200, {}


async def remove_label(asked: Asked) -> Answer:
    """DELETE a label of an issue."""
    text = asked.text("issue_number")
    if asked.path["name"] not in text.labels:
        raise Refusal(404, "Label does not exist")
    text.labels.remove(asked.path["name"])
    asked.repository.touch(text, "unlabeled", asked.login, label={"name": asked.path["name"], "color": "ededed"})
    return labels_of(asked, text), 200, {}


async def happened(asked: Asked) -> Answer:
    """GET what was done to issues, the newest first."""
    found, base = asked.repository, clean(asked.example(f"{_REPO}/issues/events", "get", 200))[0]
    shown = [
        {
            **base,
            "id": item["id"],
            "event": item["event"],
            "actor": user_of(item["login"], base["actor"]),
            "created_at": item["at"],
            "issue": _issue(asked, found.texts[item["number"]]),
            **item["more"],
        }
        for item in reversed(found.happened)
    ]
    return asked.paged(shown, f"/repos/{found.name}/issues/events")


async def action_runs(asked: Asked) -> Answer:
    """GET runs of GitHub Actions, the newest first."""
    path = f"{_REPO}/actions/runs"
    base = clean(asked.example(path, "get", 200)["workflow_runs"])[0]
    wanted = [item for item in asked.repository.runs if item["status"] == asked.query.get("status", item["status"])]
    shown, code, more = asked.paged([{**base, **item} for item in wanted], path)
    return {"total_count": len(wanted), "workflow_runs": shown}, code, more


async def check_suites(asked: Asked) -> Answer:
    """GET the check suites of a commit."""
    path = f"{_REPO}/commits/{{ref}}/check-suites"
    base = clean(asked.example(path, "get", 200)["check_suites"])[0]
    found = [suite for suite in asked.repository.suites if suite["head_sha"] == asked.path["ref"]]
    told = [{key: value for key, value in suite.items() if key != "runs"} for suite in found]
    shown, code, more = asked.paged([{**base, **suite} for suite in told], path)
    return {"total_count": len(found), "check_suites": shown}, code, more


async def check_runs(asked: Asked) -> Answer:
    """GET the checks of a commit."""
    path = f"{_REPO}/commits/{{ref}}/check-runs"
    base = clean(asked.example(path, "get", 200)["check_runs"])[0]
    found = [
        {**base, **run, "head_sha": suite["head_sha"], "check_suite": {"id": suite["id"]}}
        for suite in asked.repository.suites
        if suite["head_sha"] == asked.path["ref"]
        for run in suite["runs"]
    ]
    shown, code, more = asked.paged(found, path)
    return {"total_count": len(found), "check_runs": shown}, code, more


async def releases(asked: Asked) -> Answer:
    """GET releases, the newest first."""
    path = f"{_REPO}/releases"
    base = clean(asked.example(path, "get", 200))[0]
    return asked.paged([{**base, **item} for item in asked.repository.releases], path)


ROUTES: list[Served] = [
    Served("get", "/user", user),
    Served("get", "/app", app),
    Served("post", "/app/installations/{installation_id}/access_tokens", access_token),
    Served("get", "/orgs/{org}/repos", owned),
    Served("get", _REPO, repository),
    Served("get", f"{_REPO}/installation", installation),
    Served("get", f"{_REPO}/actions/runs", action_runs),
    Served("get", f"{_REPO}/releases", releases),
    Served("get", f"{_REPO}/branches", branches),
    Served("get", f"{_REPO}/branches/{{branch}}", branch),
    Served("get", f"{_REPO}/commits/{{ref}}/check-runs", check_runs),
    Served("get", f"{_REPO}/commits/{{ref}}/check-suites", check_suites),
    Served("get", f"{_REPO}/commits/{{ref}}/statuses", statuses),
    Served("post", f"{_REPO}/statuses/{{sha}}", set_status),
    Served("get", f"{_REPO}/issues", issues),
    Served("post", f"{_REPO}/issues", new_issue),
    Served("get", f"{_REPO}/issues/comments", all_comments),
    Served("get", f"{_REPO}/issues/events", happened),
    Served("get", _ISSUE, issue),
    Served("get", f"{_ISSUE}/comments", comments),
    Served("post", f"{_ISSUE}/comments", new_comment),
    Served("get", f"{_ISSUE}/labels", labels),
    Served("post", f"{_ISSUE}/labels", add_labels),
    Served("delete", f"{_ISSUE}/labels/{{name}}", remove_label),
]
