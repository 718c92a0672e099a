"""Modules that are loaded when they are first needed, so that the server is ready sooner and smaller.

Only for what a start does not need (templates, the models of bodies and of workflow files, which pydantic makes);
everything else is imported at the top of a file. Where the types of such a module are wanted, it is imported under
`TYPE_CHECKING` and is a `Later` else.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class Later:
    """A module by name, imported at the first attribute.

    Args:
        name: the full name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, attribute: str) -> object:
        return getattr(self.load(), attribute)

    def load(self) -> ModuleType:
        """Import it now, if nobody has."""
        if self._module is None:
            self._module = importlib.import_module(self._name)
        return self._module
