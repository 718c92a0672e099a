"""What a shell text was found to run."""

from __future__ import annotations

from msgspec import Struct

HOLE = "\ue000"
"""stands in a word for what is known only when the command runs"""


class Word(Struct, frozen=True):
    """One word of a command as the program would see it."""

    text: str
    many: bool = False
    """may become none or several words (`$x`, `*.py`)"""

    @property
    def sure(self) -> bool:
        """Whether it is known to the letter."""
        return not self.many and HOLE not in self.text


class Simple(Struct, frozen=True):
    """One simple command. `assigns` are the names of variables that are set for it alone."""

    words: tuple[Word, ...]
    assigns: tuple[str, ...] = ()


class Redirect(Struct, frozen=True):
    """A file that the shell itself opens."""

    target: Word
    write: bool
    folder: str | None
    """directory that it is opened in: relative to the start of the script; None where that is not known"""


class Script(Struct, frozen=True):
    """What a text would run. `doubts` say in words why that is not certain."""

    commands: tuple[Simple, ...]
    redirects: tuple[Redirect, ...]
    doubts: tuple[str, ...]


HARMLESS = frozenset(
    {
        "LANG", "LC_ALL", "LC_CTYPE", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI",
        "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUTF8",
        "RUST_BACKTRACE", "RUST_LOG", "NODE_ENV", "DEBIAN_FRONTEND", "CARGO_TERM_COLOR", "OMP_NUM_THREADS",
        "MYPY_FORCE_COLOR", "SOURCE_DATE_EPOCH", "CLICOLOR",
    }
)  # fmt: skip
"""variables that change how a program prints or counts, not what it runs"""


def may_tell(name: str) -> bool:
    """Whether a variable may change what later commands run: all but harmless ones and those in lower case."""
    return name not in HARMLESS and (name != name.lower() or name.endswith("_proxy"))


def telling(names: tuple[str, ...]) -> str | None:
    """The first of these variables that may change what a command runs."""
    return next((name for name in names if may_tell(name)), None)
