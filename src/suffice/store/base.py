"""What every store shares: money as integers, the row of a record, and the seam behind the writer.

A record is kept as MessagePack: the JSON of one costs ten times as many instructions to write, half of them
spent on the digits of scores.

Money is kept as whole pico-dollars (1e-12 USD). A price has at most six decimals per million tokens, so
the cost of a call priced by the token is a whole number of pico-dollars and sums are exact; a call priced by
machine time is rounded to the nearest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from suffice.types import Record

_PICO: Final = Decimal(10**12)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_LARGEST: Final = 2**63 - 1

GROUPS: Final = ("candidate", "tenant", "key_id", "user", "day")
"""What spend can be summed by."""


class Amount(NamedTuple):
    """A number of records and what they cost."""

    n: int = 0
    pico: int = 0


Row = tuple[str, float, str, str, str, str, int, int | None, int | None, int | None, int | None, bytearray]
"""A record as it is written: the columns that are filtered or summed, then all of it as MessagePack.

In the order of `COLUMNS`. An unknown key, user or candidate is "".
"""

COLUMNS: Final = (
    "id",
    "created_at",
    "tenant",
    "key_id",
    "user_id",
    "candidate",
    "status",
    "cost_pico",
    "baseline_pico",
    "prompt_tokens",
    "completion_tokens",
    "payload",
)


class Sink(Protocol):
    """Where the writer thread puts what was queued; all calls come from that one thread.

    Every method raises a StoreError, and nothing else, when the database does not take the write.
    """

    def begin(self, *, durable: bool) -> None:
        """Start a transaction; a durable one survives a power cut once `commit` returns."""
        ...

    def insert(self, rows: Sequence[Row]) -> int:
        """Write rows; returns how many were new (a known id is not written again)."""
        ...

    def settle(self, settled: Amount, lost: dict[str, Amount]) -> None:
        """Note in the same transaction what this process has settled so far, and what it lost and why."""
        ...

    def perform(self, operation: Any) -> Any:
        """Run one operation inside the transaction and return its result."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Give the transaction up; never raises."""
        ...

    def close(self, *, is_settled: bool) -> None:
        """Let go; strikes this process off the books where nothing of it is left to write."""
        ...


def to_pico(usd: Decimal) -> int:
    """Whole pico-dollars, rounded half to even.

    Raises
    ------
    ValueError
        If the amount is negative, not finite, or above 9.2 million USD.
    """
    try:
        scaled = _EXACT.multiply(usd, _PICO)
        pico = int(scaled)
        if pico != scaled:
            pico = int(_EXACT.to_integral_value(scaled))
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"{usd} is not an amount of money") from error
    if not 0 <= pico <= _LARGEST:
        raise ValueError(f"{usd} USD is not what a call can cost; expected 0 to 9.2 million")
    return pico


def usd_text(pico: int) -> str:
    """A Decimal as plain text, without an exponent or trailing zeros.

    >>> usd_text(1_500_000)
    '0.0000015'
    """
    text = f"{_EXACT.divide(Decimal(pico), _PICO):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, for a record that was filled from arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


_encode: Final = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decoder: Final = msgspec.msgpack.Decoder(Record)


def encode(record: Record, cost: int | None) -> Row:
    """The row of a record whose cost in pico-dollars was computed before; None if it could not be.

    A plain tuple, without None where "" will do, and a bytearray rather than bytes: this runs for every
    request, and sqlite3 binds nothing else without asking its adapters first.

    Raises
    ------
    ValueError, TypeError
        If the record cannot be written.
    """
    baseline, usage = record.baseline_usd, record.usage
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if cost is None:
        raise ValueError(f"cost_usd is {record.cost_usd}; expected None or 0 to 9.2 million USD")
    if not isfinite(record.created_at):
        raise ValueError(f"created_at is {record.created_at}; expected Unix seconds")
    if (prompt or 0) > _LARGEST or (completion or 0) > _LARGEST:
        raise ValueError("a token count does not fit 64 bits")
    return (
        record.id,
        record.created_at,
        record.tenant,
        record.key_id or "",
        record.user or "",
        record.candidate or "",
        record.status,
        None if record.cost_usd is None else cost,
        None if baseline is None else to_pico(baseline),
        prompt,
        completion,
        bytearray(_encode(record)),
    )


def decode(payload: bytes) -> Record:
    """A record from its MessagePack."""
    return _decoder.decode(payload)
