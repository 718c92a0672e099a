"""Files that configure agents and tools: a change to one is shown to the reviewer with the reason.

An agent may need to write them, so they are flagged, never forbidden; Handrail itself starts no tool that reads them.
Those that steer agents are left out of the work tree where the ref is not trusted (`aside.py`).
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache

from msgspec import Struct

LINK = "120000"
SUBMODULE = "160000"


class Tripwire(Struct, frozen=True):
    """Names that make a tool do something by itself. A pattern with `/` is matched from any directory down."""

    patterns: tuple[str, ...]
    reason: str
    steering: bool = False
    """a coding agent acts on it by itself: where the ref is not trusted, it is not in the work tree"""


TRIPWIRES = (
    Tripwire(
        (
            "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "AGENTS.override.md", "GEMINI.md", "QWEN.md", ".goosehints",
            ".cursorrules", ".windsurfrules", ".clinerules", ".clinerules/*", ".github/copilot-instructions.md",
            ".github/instructions/*", ".github/prompts/*", ".openhands_instructions",
        ),
        "tells coding agents what to do",
        steering=True,
    ),
    Tripwire((".mcp.json", "mcp.json", ".mcp/*"), "starts tool servers for coding agents", steering=True),
    Tripwire(
        (
            ".claude/*", ".codex/*", ".gemini/*", ".cursor/*", ".qwen/*", ".opencode/*", "opencode.json",
            "opencode.jsonc", ".goose/*", ".openhands/*", ".agents/*", ".aider*", ".continue/*", ".windsurf/*",
            ".roo/*", ".kilocode/*", ".handrail/*", ".github/agents/*", ".github/hooks/*", ".github/skills/*",
        ),
        "configures a coding agent: its permissions, hooks or commands",
        steering=True,
    ),
    Tripwire((".vscode/*", ".idea/*", ".zed/*", ".fleet/*", "*.code-workspace", ".nvimrc", ".nvim.lua", ".exrc",
              ".vimrc", ".dir-locals.el"), "makes an editor run tasks or extensions", steering=True),
    Tripwire((".devcontainer/*", ".devcontainer.json"), "starts a container with commands of its own"),
    Tripwire((".env", ".envrc"), "changes the environment of agents and shells in the directory", steering=True),
    Tripwire((".env.*", ".tool-versions", "mise.toml", ".mise.toml", ".mise/*"),
             "changes the environment of a shell that enters the directory"),
    Tripwire((".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".zshrc", ".zshenv", ".zprofile", ".profile",
              ".inputrc"), "is run when a shell starts"),
    Tripwire((".gitmodules",), "names other repositories to fetch"),
    Tripwire((".gitattributes", ".gitconfig", ".lfsconfig"), "makes git run filters or changes its settings"),
    Tripwire((".husky/*", ".githooks/*", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml", "lefthook.yml",
              "lefthook.yaml", ".lefthook.yml", ".lefthook/*", ".lintstagedrc*", ".overcommit.yml"),
             "is run by git hooks"),
    Tripwire((".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitea/workflows/*",
              ".forgejo/workflows/*", ".circleci/*", ".travis.yml", "Jenkinsfile", "azure-pipelines.yml",
              "bitbucket-pipelines.yml", ".drone.yml", ".woodpecker.yml", ".woodpecker/*", ".buildkite/*",
              ".ci/*"), "is run by the CI, with its secrets"),
    Tripwire((".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "pip.conf", ".pypirc", ".cargo/config",
              ".cargo/config.toml", ".ripgreprc"), "configures where packages come from or what tools run"),
    Tripwire(("CODEOWNERS",), "decides who must review"),
)  # fmt: skip

STEERING = tuple(pattern for tripwire in TRIPWIRES if tripwire.steering for pattern in tripwire.patterns)
"""names that steer coding agents"""

NESTED = "is a repository inside the repository: its files are not part of this change"
OUTSIDE = "is a link that points outside the repository"
STRANGE_NAME = "has control or direction characters in its name"

_STRANGE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def flag(path: str, mode: str, target: str | None = None) -> str | None:
    """Why a reviewer must look at a changed file, or None.

    Args:
        path: from the top of the repository.
        mode: git's mode of the new file (`000000` when deleted).
        target: where it points, when it is a symbolic link.
    """
    if _STRANGE.search(path):
        return STRANGE_NAME
    if mode == SUBMODULE:
        return NESTED
    if mode == LINK and target is not None and _leads_out(path, target):
        return OUTSIDE
    lowered = path.casefold()
    tails = [lowered] + [lowered[i + 1 :] for i, character in enumerate(lowered) if character == "/"]
    return next((reason for wire, reason in _wires() if any(wire.match(tail) for tail in tails)), None)


@cache
def _wires() -> tuple[tuple[re.Pattern[str], str], ...]:
    """One expression a tripwire, and its reason: a folder may have thousands of names."""
    joined = (("|".join(translate(one.casefold()) for one in wire.patterns), wire.reason) for wire in TRIPWIRES)
    return tuple((re.compile(expression), reason) for expression, reason in joined)


def _leads_out(path: str, target: str) -> bool:
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return any(part.casefold() == ".git" for part in target.split("/"))
