"""Rules that outlast their session: what a person answered with "always", a file a repository in the data directory.

They are a layer of their own under the ceiling: they allow, and the strictest layer still wins. A session on a ref that
is not trusted neither uses nor writes them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from handrail.errors import InvalidInput, NotFound, StorageFull
from handrail.files import replace_for_good
from handrail.policy.document import Document, PolicyLimits, Section, read, text_of
from handrail.policy.learn import Learnt, add, render
from handrail.store.sessions import SessionRow

FOLDER = "rules"
SECTIONS = ("shell", "files")
"""what "always" may write: a host is opened for a session, and the outside world is asked about each time"""
_SECTIONS = ("shell", "files", "network", "effects")
_KEY = re.compile(r"[\w.-]{1,200}", re.ASCII)
_HEAD = "# repository: "


class Standing(Struct, frozen=True):
    """One rule that stands for a repository."""

    repository: str
    key: str
    """names the repository's file"""
    section: str
    rule: str


def text(data: Path, row: SessionRow) -> str | None:
    """The rules that stand for a session, as the text of a policy; None where there are none.

    Raises:
        InvalidInput: the file cannot be read.
    """
    path = _path(data, row.repository_key)
    return None if row.untrusted or not path.exists() else text_of(path)


def may(row: SessionRow, rules: Sequence[Learnt]) -> bool:
    """Whether these rules can be written for the repository of a session."""
    return not row.untrusted and all(rule.section in SECTIONS for rule in rules)


def keep(data: Path, row: SessionRow, rules: Sequence[Learnt]) -> None:
    """Write rules for the repository of a session.

    Raises:
        InvalidInput: the file there is no policy any more.
        StorageFull: it could not be written.
    """
    path = _path(data, row.repository_key)
    _write(path, row.repository, add(text_of(path) if path.exists() else None, rules))


@contextlib.contextmanager
def kept(data: Path, row: SessionRow, rules: Sequence[Learnt]) -> Iterator[None]:
    """Rules that are written before what is done inside, and taken back where that fails."""
    new: list[Learnt] = []
    if rules:
        known = {(one.section, one.rule) for one in listed(data) if one.key == row.repository_key}
        new = [rule for rule in rules if (rule.section, rule.rule) not in known]
        keep(data, row, rules)
    try:
        yield
    except BaseException:
        for rule in new:
            remove(data, row.repository_key, rule.section, rule.rule)
        raise


def narrows(data: Path, row: SessionRow) -> bool:
    """Whether the rules that stand do more than allow: somebody wrote others into the file by hand."""
    try:
        found = text(data, row)
        document = Document() if found is None else read(found)
    except InvalidInput:
        return True
    sections = (document.shell, document.files, document.network, document.effects)
    plain = all(section == Section(allow=section.allow) for section in sections)
    return not plain or (document.rest, document.limits, document.secrets) != (None, PolicyLimits(), None)


def listed(data: Path) -> list[Standing]:
    """Every rule that stands, by repository.

    Raises:
        InvalidInput: a file is no policy any more.
    """
    found = []
    for path in sorted((data / FOLDER).glob("*.yaml")):
        given = text_of(path)
        document, repository = read(given, str(path)), _repository(given, path.stem)
        for name in _SECTIONS:
            section: Section = getattr(document, name)
            found += [Standing(repository, path.stem, name, rule) for rule in section.allow]
    return found


def remove(data: Path, key: str, section: str, rule: str) -> None:
    """Take a rule back: it is asked about again.

    Raises:
        NotFound: there is no such rule.
    """
    path = _path(data, key) if _KEY.fullmatch(key) else None
    known = [one for one in listed(data) if (one.key, one.section, one.rule) == (key, section, rule)]
    if path is None or not known:
        raise NotFound(f"no rule `{section}: allow {rule}` stands for {key}: `handrail rules` lists them")
    document = read(text_of(path), str(path))
    own: Section = getattr(document, section)
    left = replace(document, **{section: replace(own, allow=tuple(one for one in own.allow if one != rule))})
    if left == Document():
        path.unlink()
    else:
        _write(path, known[0].repository, render(left))


def _path(data: Path, key: str) -> Path:
    return data / FOLDER / f"{key}.yaml"


def _repository(given: str, key: str) -> str:
    first = given.partition("\n")[0]
    return first.removeprefix(_HEAD) if first.startswith(_HEAD) else key


def _write(path: Path, repository: str, policy: str) -> None:
    """All of it or nothing, whenever the process ends."""
    head = _HEAD + "".join(char if char.isprintable() else "?" for char in repository)
    temporary = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        text = f"{head}\n# Written by “always”; `handrail rules` lists and removes.\n{policy}"
        replace_for_good(path, text.encode(), temporary)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StorageFull(f"the rule could not be written to {path}: {error.strerror}") from error
