"""What `evaluate` and `train` share: outcomes, models and prices from the command line."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from suffice.errors import ConfigError, DataError

if TYPE_CHECKING:
    from suffice.outcomes import Outcomes, Runs

ModelsOption = Annotated[
    str | None, typer.Option(help="Names with commas between them, or @FILE with one per line.")
]
PricesOption = Annotated[
    Path | None, typer.Option(help="CSV: model, usd_per_mtok_in, usd_per_mtok_out; prices the tokens anew.")
]
WhereOption = Annotated[
    list[str] | None, typer.Option(help="COLUMN=VALUE[,VALUE]: only such rows; may be repeated.")
]
ArmOption = Annotated[str, typer.Option(help="The column that names what is chosen from.")]
AggregateOption = Annotated[
    Literal["error", "mean", "first"], typer.Option(help="When a query and model repeat.")
]
SignalsOption = Annotated[
    list[str] | None,
    typer.Option("--signal", help="COLUMN in [0, 1] (or verification, self_consistency); may be repeated."),
]
EmbedderOption = Annotated[
    str | None, typer.Option(help="For routers that take one: hashed (the default), minilm, ...")
]

ONE_MODEL = "one model leaves nothing to route"
_PAIRS = "these are preferences: `suffice train NAME --preferences FILE` learns from them"
_FLAGS = {
    "aggregate='mean'": "`--aggregate mean`",
    "aggregate='first'": "`--aggregate first`",
    "choose with where=, or make it part of arm=": "choose with --where, or make it part of --arm",
}


def read_outcomes(
    path: Path, where: Sequence[str] | None, arm: str, aggregate: Literal["error", "mean", "first"]
) -> Outcomes:
    """The file's rows that match."""
    from suffice.outcomes import Outcomes

    try:
        return Outcomes.read(path, arm=arm, aggregate=aggregate, where=_conditions(where or ()))
    except DataError as error:
        error.args = (_as_flags(str(error)),)
        if error.column == "score" and "pref_b" in str(error):
            error.args = (f"{error}; {_PAIRS}",)
        raise


def read_runs(path: Path, where: Sequence[str] | None) -> Runs:
    """The file's rows that match, call by call."""
    from suffice.outcomes import Runs

    runs, wanted = Runs.read(path), _conditions(where or ())
    return runs.where(**wanted) if wanted else runs


def _as_flags(message: str) -> str:
    """A complaint that names parameters of `Outcomes.read`, with the options that set them instead."""
    for given, flag in _FLAGS.items():
        message = message.replace(given, flag)
    return message


def read_models(given: str | None) -> list[str] | None:
    """Names from `a,b` or `@FILE`; empty lines and those that begin with # are skipped."""
    if given is None:
        return None
    if not given.startswith("@"):
        return names_of(given)
    path = Path(given[1:])
    if not path.is_file():
        raise typer.BadParameter(f"no such file: {path}", param_hint="--models")
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def names_of(given: str) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in given.split(",") if name.strip()]


def read_groups(paths: Sequence[Path], column: str) -> dict[str, str]:
    """The group of every query id, named by a column."""
    from suffice.outcomes import Runs

    found: dict[str, str] = {}
    for path in paths:
        runs = Runs.read(path)
        pairs_of = zip(runs.column("query_id"), runs.column(column), strict=True)
        found |= {name: str(group) for name, group in pairs_of if group is not None}
    return found


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """KEY=VALUE, several times."""
    found = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=option)
        found[key.strip()] = value.strip()
    return found


def json_value(text: str) -> Any:
    """A JSON value where it is one, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_parent(path: Path | None, option: str) -> None:
    """Refuse a place that cannot be written to, before any work is done."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: the directory {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: {path.parent} may not be written to")


def check_file(path: Path | None, option: str) -> None:
    """As `check_parent`, and refuse a directory."""
    check_parent(path, option)
    if path is not None and path.is_dir():
        raise ConfigError(f"{option} {path} is a directory: give a file")


def write_atomically(path: Path, content: str) -> None:
    """The whole file or none of it, whenever the command is stopped."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(scratch, 0o666 & ~_umask())
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _conditions(where: Sequence[str]) -> dict[str, list[Any]]:
    flags = {"true": True, "false": False}
    return {
        column: [flags.get(part.strip().lower(), part.strip()) for part in value.split(",")]
        for column, value in pairs(where, "--where").items()
    }
