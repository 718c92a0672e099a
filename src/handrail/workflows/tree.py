"""YAML as plain values, with the line that each part stands on. The one place of this room that knows its library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct, field

from handrail.lazy import Later

if TYPE_CHECKING:
    import yaml
else:
    yaml = Later("yaml")

LARGEST = 131_072
"""characters of a workflow file"""
_MOST_NODES = 20_000
_DEEPEST = 40

Path = tuple[str | int, ...]


class Unreadable(Exception):
    """The text is no YAML of a kind that is taken.

    Args:
        line: where, counted from 1.
        value: what stands there.
        mend: what to write instead.
    """

    def __init__(self, line: int, value: str, mend: str) -> None:
        super().__init__(mend)
        self.line = line
        self.value = value
        self.mend = mend


class Tree(Struct):
    """A file as values: mappings, lists, texts, and None for nothing.

    Every scalar is the text that was written: `on`, `1e3` and dates mean nothing here, models give them meaning.
    """

    value: object
    lines: dict[Path, int] = field(default_factory=dict)
    nodes: dict[Path, yaml.Node] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Where a part stands, or the nearest part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def place(self, path: Path) -> Path:
        """A path of the models as it was written: one part may stand without its list, a value without its field."""
        found: Path = ()
        for part in path:
            node = self.nodes.get(found)
            if (*found, part) in self.lines or isinstance(node, yaml.SequenceNode):
                found = (*found, part)
            elif isinstance(node, yaml.ScalarNode):
                break
            elif part != 0:
                found = (*found, part)
        return found

    def text(self, path: Path) -> str:
        """A part as YAML again."""
        return yaml.serialize(self.nodes[path], allow_unicode=True)


def read(text: str) -> Tree:
    """Read one document.

    Raises:
        Unreadable: it is no YAML, names a field twice, or is too large.
    """
    if len(text) > LARGEST:
        raise Unreadable(1, f"{len(text)} characters", f"write at most {LARGEST}")
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Unreadable(line, error.problem or "", "make it valid YAML") from error
    except yaml.YAMLError as error:
        raise Unreadable(1, str(error).splitlines()[0], "make it valid YAML") from error
    except RecursionError as error:
        raise Unreadable(1, "brackets in brackets", "nest less deeply") from error
    tree = Tree(None)
    if node is not None:
        tree.value = _value(node, (), tree, iter(range(_MOST_NODES)))
    return tree


def _value(node: yaml.Node, path: Path, tree: Tree, left: Iterator[int]) -> object:
    """Values of a node; aliases are followed, and what they make too large is refused."""
    line = node.start_mark.line + 1
    if next(left, None) is None or len(path) > _DEEPEST:
        raise Unreadable(line, "…", f"write at most {_MOST_NODES} values, nested at most {_DEEPEST} deep")
    tree.lines.setdefault(path, line)
    tree.nodes[path] = node
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, at), tree, left) for at, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, object] = {}
        for key, value in node.value:
            word = key.value if isinstance(key, yaml.ScalarNode) else None
            if word is None:
                raise Unreadable(key.start_mark.line + 1, "a list or a mapping", "name a field with a text")
            if word in found:
                raise Unreadable(key.start_mark.line + 1, word, "name it once")
            tree.lines[(*path, word)] = key.start_mark.line + 1
            found[word] = _value(value, (*path, word), tree, left)
        return found
    return (
        None
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null")
        else str(node.value)
    )


def write(value: object) -> str:
    """Values as YAML."""
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
