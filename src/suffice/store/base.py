"""What every store shares: money as integers, the row of a record, and the seam behind the writer.

Money is kept as whole pico-dollars (1e-12 USD). A price has at most six decimals per million tokens, so
the cost of a call priced by the token is a whole number of pico-dollars and sums are exact; a call priced by
machine time is rounded to the nearest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from suffice.types import Record

PICO: Final = Decimal(10**12)
_MONEY: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_LARGEST: Final = 2**63 - 1

GROUPS: Final = ("candidate", "tenant", "key_id", "user", "day")
"""What spend can be summed by."""


class Amount(NamedTuple):
    """A number of records and what they cost."""

    n: int = 0
    pico: int = 0


class Row(NamedTuple):
    """A record as it is written: the columns that are filtered or summed, and all of it as JSON."""

    id: str
    created_at: float
    tenant: str
    key_id: str | None
    user: str | None
    candidate: str | None
    status: int
    cost: int | None
    baseline: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    payload: bytes


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
    if not usd.is_finite() or usd < 0:
        raise ValueError(f"{usd} is not what a call can cost; expected a finite amount of at least 0 USD")
    pico = int(_MONEY.to_integral_value(_MONEY.multiply(usd, PICO)))
    if pico > _LARGEST:
        raise ValueError(f"{usd} USD is more than one record can hold (9.2 million)")
    return pico


def usd_text(pico: int) -> str:
    """A Decimal as plain text, without an exponent or trailing zeros.

    >>> usd_text(1_500_000)
    '0.0000015'
    """
    text = f"{_MONEY.divide(Decimal(pico), PICO):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, for a record that was filled from arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)
_decoder: Final = msgspec.json.Decoder(Record)


def encode(record: Record) -> Row:
    """The row of a record; raises ValueError or TypeError for one that cannot be written."""
    cost, baseline, usage = record.cost_usd, record.baseline_usd, record.usage
    if not isfinite(record.created_at):
        raise ValueError(f"created_at is {record.created_at}; expected Unix seconds")
    if max(usage.prompt_tokens or 0, usage.completion_tokens or 0, record.status) > _LARGEST:
        raise ValueError("a token count or status does not fit 64 bits")
    return Row(
        record.id,
        record.created_at,
        record.tenant,
        record.key_id,
        record.user,
        record.candidate,
        record.status,
        None if cost is None else to_pico(cost),
        None if baseline is None else to_pico(baseline),
        usage.prompt_tokens,
        usage.completion_tokens,
        _encoder.encode(record),
    )


def decode(payload: bytes) -> Record:
    """A record from its JSON."""
    return _decoder.decode(payload)
