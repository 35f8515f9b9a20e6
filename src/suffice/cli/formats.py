"""Money, time and shares as people read them."""

from __future__ import annotations

from decimal import Decimal

from rich.table import Table

from suffice.types import Decision, Record

UNKNOWN = "?"
_LEAST_USD = 5e-13
"""Half of what the books count in: less is rounding."""


def usd(amount: Decimal | float | str | None) -> str:
    """Two significant digits below a cent, never an exponent: "$0.0000085", "$1.25"; "?" for unknown.

    Examples
    --------
    >>> usd(0.00000853), usd(1.25), usd(-0.5), usd(0), usd(None)
    ('$0.0000085', '$1.25', '-$0.500', '$0', '?')
    """
    if amount is None:
        return UNKNOWN
    value = float(amount)
    if abs(value) < _LEAST_USD:
        return "$0"
    if value < 0:
        return f"-{usd(-value)}"
    if value >= 0.01:
        return f"${value:,.2f}" if value >= 1 else f"${value:.3f}"
    return f"${Decimal(f'{value:.1e}'):f}"


def seconds(value: float | None) -> str:
    """ "0.42 s", "12 s"; "?" for unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def number(value: float | None) -> str:
    """Two digits after the point; "?" for unknown."""
    return UNKNOWN if value is None else f"{value:.2f}"


def count(value: int | None) -> str:
    """A whole number; "?" for unknown."""
    return UNKNOWN if value is None else f"{value:,}"


def saving(cost: Decimal | float | None, baseline: Decimal | float | None) -> float | None:
    """The share of the baseline that was not spent; negative where more was. None where unknown."""
    if cost is None or baseline is None or not baseline:
        return None
    return 1 - float(cost) / float(baseline)


def share(value: float | None) -> str:
    """ "54 %"; "?" for unknown."""
    return UNKNOWN if value is None else f"{value * 100:.0f} %"


def one_line(record: Record) -> str:
    """Who answered, why, what it cost and took, and what that saved."""
    decision = record.decision
    said = [record.candidate or "nobody", decision.reason or "no reason given"]
    failed = [attempt.candidate for attempt in record.attempts if attempt.error]
    if failed:
        said.append(f"after {', '.join(dict.fromkeys(failed))} failed")
    said += [usd(record.cost_usd), seconds(record.latency_s)]
    saved = saving(record.cost_usd, record.baseline_usd)
    if saved is not None and record.candidate != decision.baseline:
        said.append(f"{share(saved)} saved against {decision.baseline} (estimate)")
    return " | ".join(said)


def decision_table(decision: Decision) -> Table:
    """Every candidate with what was predicted of it, in the order of preference."""
    table = Table("", "candidate", "score", "predicted cost", "predicted latency", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    left_out = [arm for arm in decision.arms if arm not in decision.ranking]
    for name in (*decision.ranking, *left_out):
        table.add_row(
            "->" if name == decision.candidate else "",
            f"{name} (cannot serve this)" if name in left_out else name,
            number(decision.of(decision.scores, name)),
            usd(decision.of(decision.costs_usd, name)),
            seconds(decision.of(decision.latencies_s, name)),
        )
    return table
