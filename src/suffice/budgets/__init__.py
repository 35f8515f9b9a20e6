"""Budgets: what they are, when they begin anew, and the arithmetic that keeps them.

`limits` says what a budget is, `windows` when it begins anew, `ledger` how amounts are reserved before a call
and settled after it. The ledgers that survive a restart are in `suffice.store`.
"""

from suffice.budgets.ledger import (
    Book,
    Claim,
    Ledger,
    MemoryLedger,
    Operation,
    Outcome,
    Reserve,
    Settle,
    Use,
)
from suffice.budgets.limits import Budget, shown
from suffice.budgets.windows import Span, Window, window

__all__ = [
    "Book",
    "Budget",
    "Claim",
    "Ledger",
    "MemoryLedger",
    "Operation",
    "Outcome",
    "Reserve",
    "Settle",
    "Span",
    "Use",
    "Window",
    "shown",
    "window",
]
