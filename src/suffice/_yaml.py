"""YAML text to plain values and the line of each: no tags, no duplicate keys, no bombs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError

from suffice.errors import ConfigError

MAX_DEPTH: Final = 50
MAX_VALUES: Final = 100_000
"""With every alias counted as often as it is used."""

Lines = dict[str, int]
"""Path of a value, as msgspec writes it (`$.models[0].name`), to its line (1 is the first)."""


class _Loader(yaml.SafeLoader):
    """Says where a number or date stands that looks like one but is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
            what = f"{str(node.value)[:40]!r} cannot be read as what it looks like ({error}); quote it"
            raise ConstructorError(None, None, what, node.start_mark) from error


def read(text: str, file: Path) -> tuple[Any, Lines]:
    """The values of one document and where they stand.

    Raises
    ------
    ConfigError
        With the line, where `text` is no YAML, repeats a key, or is nested or multiplied by anchors beyond
        what a person writes.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = dict(_lines(node, file)) if node is not None else {}
        return (loader.construct_document(node) if node is not None else None), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise ConfigError(str(problem), file=str(file), line=mark.line + 1 if mark else None) from None
    except RecursionError:
        raise ConfigError("nested too deeply", file=str(file)) from None


def _lines(root: yaml.Node, file: Path) -> Iterator[tuple[str, int]]:
    """(path, line) of every value, keys before what they hold; refuses what must not be built."""
    waiting = [("$", root, root.start_mark.line + 1, 0)]
    n_values = 0
    while waiting:
        path, node, line, depth = waiting.pop()
        n_values += 1
        if depth > MAX_DEPTH or n_values > MAX_VALUES:
            why = f"deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"to more than {MAX_VALUES} values"
            raise ConfigError(f"nested {why}: write it out, without anchors", file=str(file), line=line)
        yield path, line
        if isinstance(node, yaml.MappingNode):
            waiting += [(p, n, at, depth + 1) for p, n, at in _members(node, path, file)]
        elif isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            waiting += [(f"{path}[{i}]", n, n.start_mark.line + 1, depth + 1) for i, n in items]
        else:
            _check_text(node, file)


def _members(node: yaml.MappingNode, path: str, file: Path) -> Iterator[tuple[str, yaml.Node, int]]:
    seen = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError("a key must be one word", file=str(file), line=line)
        _check_text(key, file)
        if key.value in seen:
            name = f"{path}.{key.value}".removeprefix("$.")
            raise ConfigError("given twice; keep one of the two", file=str(file), line=line, key=name)
        seen.add(key.value)
        yield f"{path}.{key.value}", value, line


def _check_text(node: yaml.Node, file: Path) -> None:
    r"""A lone surrogate ("\ud800") is no text: nothing could write it down again."""
    if any("\ud800" <= char <= "\udfff" for char in node.value):
        line = node.start_mark.line + 1
        raise ConfigError(f"{ascii(node.value)[:60]} is not Unicode text", file=str(file), line=line)


_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_NUMBER: Final = re.compile(r"[-+]?[\d_]*\.?\d+(?:[eE][-+]?\d+)?")
_MOST_SHOWN: Final = 40


def explained(what: str, path: str, plain: Any, choices: Iterable[str] = ()) -> str:
    """What msgspec says of a value, with that value, and what would do in its place.

    Parameters
    ----------
    path : as msgspec writes it, from `$`
    plain : that in which the value stands
    choices : what the value may be, where it is one of a few

    Examples
    --------
    >>> explained("Expected `int` >= 1", "$.a[0]", {"a": [0]})
    'Expected `int` >= 1, found 0'
    """
    if known := ", ".join(choices):
        return f"{what}; known: {known}"
    value = plain
    for key, place in _STEP.findall(path):
        if isinstance(value, dict):
            value = value.get(key)
        else:
            is_there = place and isinstance(value, list) and int(place) < len(value)
            value = value[int(place)] if is_there else None
    if not isinstance(value, str | int | float):
        return what
    found = repr(value[:_MOST_SHOWN] if isinstance(value, str) else value)
    is_quoted = (
        isinstance(value, str)
        and what.startswith(("Expected `int", "Expected `float"))
        and _NUMBER.fullmatch(value)
    )
    hint = ": numbers go without quotes, and with a point before an exponent (1.0e-12)" if is_quoted else ""
    return f"{what}, found {found}{hint}"
