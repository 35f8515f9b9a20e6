"""What every store shares: money as integers, the row of a record, and the seam behind the writer.

A record is kept as MessagePack: the JSON of one costs ten times as many instructions to write, half of them
spent on the digits of scores.

Money is kept as whole pico-dollars (1e-12 USD). A price has at most six decimals per million tokens, so
the cost of a call priced by the token is a whole number of pico-dollars and sums are exact; a call priced by
machine time is rounded down to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from math import isfinite
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from suffice.types import Record

PICO: Final = Decimal("1E+12")
_WIDE: Final = Context(prec=60)
LARGEST: Final = 2**63 - 1

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

    def insert(self, values: Sequence[Any]) -> int:
        """Write rows, given end to end; returns how many were new (a known id is not written again)."""
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
    """Whole pico-dollars, rounded down.

    Raises
    ------
    ValueError
        If the amount is negative, not finite, or above 9.2 million USD.
    """
    try:
        pico = int(usd * PICO)
    except (ArithmeticError, ValueError) as error:  # not a number, or infinite
        raise ValueError(f"{usd} is not an amount of money") from error
    if pico < 0 or pico > LARGEST:
        raise ValueError(f"{usd} USD is not what a call can cost; expected 0 to 9.2 million")
    return pico


def usd_text(pico: int) -> str:
    """A Decimal as plain text, without an exponent or trailing zeros.

    >>> usd_text(1_500_000)
    '0.0000015'
    """
    text = f"{_WIDE.divide(Decimal(pico), PICO):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, for a record that was filled from arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


_encode_into: Final = msgspec.msgpack.Encoder(enc_hook=_plain).encode_into
_decoder: Final = msgspec.msgpack.Decoder(Record)


def encode(record: Record, cost: int | None, scratch: bytearray) -> Row:
    """The row of a record whose cost in pico-dollars was computed before; None if it could not be.

    A plain tuple, without None where "" will do, and a bytearray rather than bytes: this runs for every
    request, and sqlite3 binds nothing else without asking its adapters first. `scratch` is overwritten; one
    that is used again and again has the right size already.

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
    if (prompt and prompt > LARGEST) or (completion and completion > LARGEST):
        raise ValueError("a token count does not fit 64 bits")
    _encode_into(record, scratch)
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
        scratch[:],
    )


def decode(payload: bytes) -> Record:
    """A record from its MessagePack."""
    return _decoder.decode(payload)
