"""What is said of a budget: to the client whose call it has no room for, and to one who nears its end."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from suffice.budgets import Budget, Span, shown
from suffice.errors import BudgetExceeded


class Refusal(msgspec.Struct, frozen=True):
    """A budget that has no room for a call."""

    budget: Budget
    subject: str
    span: Span
    spent: int
    reserved: int
    """For calls under way."""
    amount: int
    """What the call may take."""
    oldest: int | None = None
    """Of a rolling window: its oldest part with any use."""

    @property
    def left(self) -> int:
        return max(self.budget.limit - self.spent - self.reserved, 0)

    @property
    def may_pass(self) -> bool:
        """Whether calls under way could leave enough."""
        return self.reserved > 0 and self.spent + self.amount <= self.budget.limit

    @property
    def resets_at(self) -> int | None:
        """When there is more again: all, or of a rolling window the first part."""
        return self.span.resets_at if self.oldest is None else self.oldest + self.span.lasts_s


def exceeded(refusal: Refusal, candidate: str, now: float) -> BudgetExceeded:
    """The error for the client: which budget, how much is left, and when it begins anew."""
    budget, unit, resets_at = refusal.budget, refusal.budget.unit, refusal.resets_at
    left, needed = shown(refusal.left, unit), shown(refusal.amount, unit)
    said = [
        f"the budget {budget.name!r} ({_terms(refusal)}) has {left} left, and this call may take {needed}"
    ]
    if refusal.reserved:
        said.append(f"{shown(refusal.reserved, unit)} are held for calls under way")
    if refusal.amount > budget.limit:
        said.append("that is more than all of it: ask for less with max_tokens")
    elif resets_at is not None:
        said.append(f"there is more from {_time(resets_at)} on")
    return BudgetExceeded(
        "; ".join(said),
        candidate=candidate,
        details={
            "name": budget.name,
            "per": budget.per,
            "subject": refusal.subject,
            "unit": unit,
            "limit": number(budget.limit, budget),
            "spent": number(refusal.spent, budget),
            "reserved": number(refusal.reserved, budget),
            "left": number(refusal.left, budget),
            "needed": number(refusal.amount, budget),
            "resets_at": None if resets_at is None else _time(resets_at),
        },
        retry_after_s=_wait_s(refusal, now),
    )


def _wait_s(refusal: Refusal, now: float) -> float | None:
    """When to try again; None where that brings nothing."""
    if refusal.amount > refusal.budget.limit:
        return None
    if refusal.may_pass:
        return 1.0
    return None if refusal.resets_at is None else max(refusal.resets_at - now, 1.0)


def standing(budget: Budget, span: Span, spent: int, reserved: int) -> str:
    """A budget that nears its end, as the value of a header."""
    left = shown(max(budget.limit - spent - reserved, 0), budget.unit)
    parts = [budget.name, f"left={left}", f"of={shown(budget.limit, budget.unit)}"]
    if span.resets_at is not None:
        parts.append(f"resets={_time(span.resets_at)}")
    return "; ".join(parts)


def terms(budget: Budget) -> str:
    """Its limit and window, for people.

    Examples
    --------
    >>> terms(Budget(name="b", usd=5, every="day")), terms(Budget(name="b", tokens=9, rolling="24h"))
    ('5 USD per day', '9 tokens in 24h')
    """
    amount = shown(budget.limit, budget.unit)
    if budget.every:
        return f"{amount} per {budget.every}"
    if budget.rolling:
        return f"{amount} in {budget.rolling}"
    return f"{amount} per request" if budget.per == "request" else f"{amount} in all"


def _terms(refusal: Refusal) -> str:
    budget = refusal.budget
    if budget.per in ("global", "request"):
        return terms(budget)
    return f"{terms(budget)} for the {budget.per} {refusal.subject}"


def number(amount: int, budget: Budget) -> str | int:
    """USD as text, so that no reader rounds it; tokens as they are."""
    return amount if budget.unit == "tokens" else shown(amount, "usd").removesuffix(" USD")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
