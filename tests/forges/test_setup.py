from __future__ import annotations

import pytest

from handrail.forges import ForgeKind
from handrail.forges.setup import place, repository_at


def test_each_kind_has_its_public_place() -> None:
    assert place(ForgeKind.GITHUB, None) == "https://github.com"
    assert place(ForgeKind.GITLAB, "https://git.example.com/gitlab/") == "https://git.example.com/gitlab"
    assert place(ForgeKind.GIT, "/srv/git/") == "/srv/git"


@pytest.mark.parametrize(
    ("url", "remote", "name"),
    [
        ("https://github.com", "https://github.com/a/b.git", "a/b"),
        ("https://github.com", "https://GitHub.com/a/b", "a/b"),
        ("https://github.com", "git@github.com:a/b.git", "a/b"),
        ("https://github.com", "ssh://git@github.com/a/b.git", "a/b"),
        ("https://github.com", "https://github.com.evil.example/a/b", None),
        ("https://github.com", "https://github.com:8443/a/b", None),
        ("https://x/gitlab", "https://x/gitlab/g/s/p.git", "g/s/p"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000/a/b.git", "a/b"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3001/a/b.git", None),
        ("/srv/git", "/srv/git/a/b.git", "a/b"),
        ("/srv/git", "/srv/other/b.git", None),
        ("https://github.com", "/srv/git/a/b.git", None),
    ],
)
def test_a_remote_is_known_by_where_it_lies(url: str, remote: str, name: str | None) -> None:
    assert repository_at(url, remote) == name
