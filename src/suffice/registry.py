"""Names to classes: built-in parts, entry points of installed packages, and files given by path.

`suffice train my_router.py:MyRouter` and a package that declares
`[project.entry-points."suffice.routers"]` plug in through the same door.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice.errors import ConfigError, UnknownName


class Registry:
    """The parts of one kind, imported when asked for."""

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        """
        Parameters
        ----------
        kind : what a part is called in an error ("router")
        group : the entry-point group ("suffice.routers")
        builtin : name -> "module:attribute"
        """
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)

    def available(self) -> tuple[str, ...]:
        """Every name, built-in ones first."""
        plugins = sorted(point.name for point in self._entry_points() if point.name not in self._builtin)
        return (*self._builtin, *plugins)

    def get(self, name: str) -> Any:
        """The class of that name, or `path/to/file.py:ClassName`.

        Raises
        ------
        UnknownName
            If nothing has that name.
        """
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        path, _, attribute = name.rpartition(":")
        if path.endswith(".py"):
            return _from_file(Path(path), attribute)
        for point in self._entry_points():
            if point.name == name:
                return point.load()
        raise UnknownName(self.kind, name, self.available())

    def _entry_points(self) -> importlib.metadata.EntryPoints:
        return importlib.metadata.entry_points(group=self.group)


def _from_file(path: Path, attribute: str) -> Any:
    if not path.is_file():
        raise ConfigError(f"no such file: {path}; a part is given as path/to/file.py:ClassName")
    spec = importlib.util.spec_from_file_location(f"suffice_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise ConfigError(f"{path} has no {attribute!r}")
    return getattr(module, attribute)
