"""Plain price lists: model, USD per million tokens in, USD per million tokens out."""

from __future__ import annotations

from decimal import Decimal
from os import PathLike, fspath
from typing import Any

from suffice.errors import DataError
from suffice.types import Price


def read_prices(path: str | PathLike[str]) -> dict[str, Price]:
    """A CSV, JSONL or Parquet file with the columns model, usd_per_mtok_in and usd_per_mtok_out.

    A model whose price is empty is in the result, unpriced.

    Raises
    ------
    DataError
        With file, row and column, for anything that cannot be read, and for a model that stands twice.
    """
    from suffice.outcomes.reading import load

    columns = ("usd_per_mtok_in", "usd_per_mtok_out")
    table = load(path, required=columns, filled=("model",), keep=("model", *columns))
    names, into, out = (table.column(name).to_pylist() for name in ("model", *columns))
    prices: dict[str, Price] = {}
    for row, (name, price_in, price_out) in enumerate(zip(names, into, out, strict=True), 1):
        if name in prices:
            raise DataError(
                f"{name!r} stands here a second time; keep one", file=fspath(path), row=row, column="model"
            )
        prices[name] = Price(
            input_usd_per_mtok=_exact(price_in), output_usd_per_mtok=_exact(price_out), source=fspath(path)
        )
    return prices


def _exact(value: Any) -> Decimal | None:
    """The number as written: the shortest decimal that reads back as the same float."""
    return None if value is None else Decimal(repr(value))
