"""Files that configure agents and tools. A task may write them; the reviewer must be told."""

from __future__ import annotations

from handrail.workspaces import Workspace
from handrail.workspaces.changes import change
from handrail.workspaces.snapshots import snapshot
from tests.sandbox.battery.ground import SESSION
from tests.sandbox.battery.sides import Side

PATHS: dict[str, str] = {
    "instructions_for_claude": "CLAUDE.md",
    "instructions_for_agents": "AGENTS.md",
    "instructions_for_gemini": "GEMINI.md",
    "instructions_further_down": "src/deep/AGENTS.md",
    "instructions_in_other_letters": "claude.MD",
    "instructions_for_copilot": ".github/copilot-instructions.md",
    "tool_servers": ".mcp.json",
    "hooks_of_claude": ".claude/settings.json",
    "local_hooks_of_claude": ".claude/settings.local.json",
    "commands_of_claude": ".claude/commands/deploy.md",
    "settings_of_codex": ".codex/config.toml",
    "settings_of_gemini": ".gemini/settings.json",
    "rules_of_cursor": ".cursor/rules/a.mdc",
    "settings_of_opencode": "opencode.json",
    "settings_of_handrail": ".handrail/workflow.yml",
    "tasks_of_the_editor": ".vscode/tasks.json",
    "settings_of_idea": ".idea/workspace.xml",
    "container_of_the_editor": ".devcontainer/devcontainer.json",
    "settings_of_vim": ".exrc",
    "environment_of_the_shell": ".envrc",
    "variables": ".env",
    "start_of_the_shell": ".bashrc",
    "start_of_zsh": ".zshrc",
    "submodules": ".gitmodules",
    "attributes": ".gitattributes",
    "hooks_of_husky": ".husky/pre-commit",
    "hooks_of_pre_commit": ".pre-commit-config.yaml",
    "workflow_of_github": ".github/workflows/ci.yml",
    "pipeline_of_gitlab": ".gitlab-ci.yml",
    "pipeline_of_jenkins": "Jenkinsfile",
    "registry_of_npm": ".npmrc",
    "settings_of_cargo": ".cargo/config.toml",
    "owners": "CODEOWNERS",
    "name_that_lies": "invoice\u202egnp.exe",
    "name_with_a_line_break": "a\n+++ b",
}
LINKS: dict[str, tuple[str, str]] = {
    "link_out_of_the_repository": ("passwd", "/etc/passwd"),
    "link_above_the_repository": ("above", "../../../../outside"),
    "link_into_git": ("config-of-git", ".git/config"),
}
NAMES = (*PATHS, *LINKS)
_WRITE = 'for f; do case $f in */*) mkdir -p "${f%/*}";; esac; echo "run: evil" > "$f"; done'
_LINK = 'while [ $# -gt 0 ]; do ln -s "$2" "$1"; shift 2; done'


async def run(side: Side, workspace: Workspace) -> dict[str, tuple[bool, str, bool]]:
    """Write them all, take the change, and see which are flagged: attempt → got through, what happened, flagged."""
    await side.run(["/bin/sh", "-c", _WRITE, "sh", *PATHS.values()], cwd=workspace.path)
    links = [word for pair in LINKS.values() for word in pair]
    await side.run(["/bin/sh", "-c", _LINK, "sh", *links], cwd=workspace.path)
    written = {**PATHS, **{name: path for name, (path, _) in LINKS.items()}}
    there = {name: (workspace.path / path).is_symlink() or (workspace.path / path).exists()
             for name, path in written.items()}  # fmt: skip
    if not side.walled:
        return {name: (found, "written, and nobody is told", False) for name, found in there.items()}
    taken = await snapshot(workspace, SESSION, side.run, "tripwires")
    found = await change(workspace.results, workspace.base, taken.commit)
    flags = {item.path: item.flag for item in found.files}
    answers = {}
    for name, path in written.items():
        flag = flags.get(path, "not in the change at all") if there[name] else None
        answers[name] = (there[name] and flag is None, flag or "written, and not flagged", there[name])
    return answers
