"""Writes the reference pages that come from the source: `python -m tests.docs.generate`."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

from msgspec import structs

from handrail import config, kinds
from handrail.workflows import schema as workflow

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def events() -> str:
    """`events.md`: each kind with the comment above it."""
    lines = Path(kinds.__file__).read_text("utf-8").splitlines()
    rows, comment = [], ""
    for line in lines:
        text = line.strip()
        if text.startswith("# "):
            comment = f"{comment} {text[2:]}".strip()
        elif " = " in text and text[0].isupper():
            rows.append(f"| `{ast.literal_eval(text.split(' = ')[1])}` | {comment.replace('|', 'or')} |")
            comment = ""
    head = (kinds.__doc__ or "").strip()
    return f"# Events\n\n{head}\n\n| kind | keys of `data` |\n| --- | --- |\n" + "\n".join(rows) + "\n"


def settings() -> str:
    """`settings.md`: each field of `Config` with its default and the text below it."""
    tree = ast.parse(Path(config.__file__).read_text("utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Config").body
    told = {}
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
            told[node.target.id] = ast.literal_eval(after.value)
    rows = [
        f"| `{name}` | `HANDRAIL_{name.upper()}` | `{default}` | {told[name]} |"
        for name, default in structs.asdict(config.Config(data=Path())).items()
        if name != "data"
    ]
    return (
        "# Settings\n\nIn `config.toml` of the data directory, or in the environment of the server, which wins. Times "
        "are seconds, sizes bytes.\n\nThe data directory is `--data`, else `$HANDRAIL_DATA`, else "
        "`$XDG_DATA_HOME/handrail`, else `~/.local/share/handrail`.\n\n"
        "| key | variable | default | |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


PAGES = {
    "events.md": events,
    "settings.md": settings,
    "workflow.md": workflow.page,
    "workflow.schema.json": workflow.text,
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), "utf-8")
