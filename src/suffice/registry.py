"""Names to classes: built-in parts, entry points of installed packages, and files given by path.

`suffice train my_router.py:MyRouter` and a package that declares
`[project.entry-points."suffice.routers"]` plug in through the same door.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from suffice.errors import ConfigError, UnknownName

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


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

    def check(self, name: str, params: Mapping[str, Any], *, hidden: Collection[str] = ()) -> None:
        """Whether the part's constructor takes these parameters, as far as its signature says.

        Parameters
        ----------
        hidden : parameters that are not the user's to set

        Raises
        ------
        ConfigError
            Naming the parameter, its value and those there are.
        """
        cls = self.get(name)
        signature = inspect.signature(cls).parameters
        known = [key for key, one in signature.items() if one.kind in _NAMED and key not in hidden]
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.values())
        names = f"known: {', '.join(known)}" if known else "it takes none"
        hints = _hints(cls)
        for key, value in params.items():
            if key not in known and not takes_any:
                raise ConfigError(f"{self.kind} {name!r}: unknown parameter {key!r}; {names}")
            if key in hints and not _fits(value, hints[key]):
                wanted = signature[key].annotation
                kind = wanted if isinstance(wanted, str) else inspect.formatannotation(wanted)
                raise ConfigError(f"{self.kind} {name!r}: {key} is {value!r}, expected {kind}; {names}")
        needed = [key for key in known if signature[key].default is inspect.Parameter.empty]
        missing = [key for key in needed if key not in params]
        if missing:
            raise ConfigError(f"{self.kind} {name!r}: {', '.join(missing)} must be given; {names}")

    def create(self, name: str, params: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> Any:
        """A part by name.

        Parameters
        ----------
        params : the constructor's, as the user gave them
        fixed : more of them, which the user cannot set

        Raises
        ------
        ConfigError
            If it takes no such parameter, or not that value, or lacks one.
        """
        fixed = fixed or {}
        self.check(name, params, hidden=tuple(fixed))
        try:
            return self.get(name)(**params, **fixed)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.kind} {name!r} with {shown(params)}: {error}") from error

    def _entry_points(self) -> importlib.metadata.EntryPoints:
        return importlib.metadata.entry_points(group=self.group)


def shown(params: Mapping[str, Any]) -> str:
    """Parameters in an error: "k=3, pull=1.0"."""
    return ", ".join(f"{key}={value!r}" for key, value in params.items()) or "no parameters"


def _hints(cls: Any) -> dict[str, Any]:
    """The constructor's types, where they can be told."""
    try:
        return get_type_hints(cls.__init__)
    except (NameError, TypeError, AttributeError):  # a plug-in's may exist for type checkers alone
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of that type; True for types that are not simple."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool, NoneType):
        return isinstance(value, hint)
    return True


def _from_file(path: Path, attribute: str) -> Any:
    if not path.is_file():
        raise ConfigError(f"no such file: {path}; a part is given as path/to/file.py:ClassName")
    module = _module(path.resolve(), path.stat().st_mtime_ns)
    if not hasattr(module, attribute):
        raise ConfigError(f"{path} has no {attribute!r}")
    return getattr(module, attribute)


@functools.lru_cache(maxsize=64)
def _module(path: Path, changed_ns: int) -> ModuleType:
    """A file as a module: run once for each of its versions, so that its classes stay the same."""
    spec = importlib.util.spec_from_file_location(f"suffice_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
