"""A GitHub to test against: real bare repositories, real `git http-backend`, and the REST calls that Handrail makes.

Every request and every answer is checked against GitHub's published OpenAPI document (`trim`); what does not fit stands
in `violations` and fails the test that looks. Answers begin as GitHub's own published examples, overlaid with what is
true here, so their shape is GitHub's. Pushes and acts send signed webhooks.

In a test:

    async with FakeGitHub(tmp_path) as github:
        repo = await github.create("acme/shop", {"README.md": "hello\n"})
        …  # Handrail's forge at `github.url` with the token `github.token`
        assert github.violations == []

As a program: `python -m tests.fake_github DIRECTORY [--port 0] [--webhook URL --secret S]` prints what to call.

What it does not have: forks, teams, checks, GraphQL, search, paging beyond `page`. `fail` and `slow` make it misbehave.
"""

from __future__ import annotations

from tests.fake_github.repository import Repository
from tests.fake_github.server import FakeGitHub, Fault

__all__ = ["FakeGitHub", "Fault", "Repository"]
