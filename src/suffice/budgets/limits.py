"""What a budget is: whom it holds for, how much, in which window, and what happens at its end."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from suffice.budgets.windows import Window, window

PICO: Final = 10**12
LARGEST: Final = 2**63 - 1
"""Of what a ledger can add up: 9.2 million USD in pico-dollars, or so many tokens."""
Scope = Literal["request", "key", "user", "team", "model", "global"]
Unit = Literal["usd", "tokens"]
GLOBAL: Final = "all"
"""The one subject of a budget for everything."""


class Budget(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """One limit, as configured."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
    per: Scope = "global"
    """Each of these has the whole limit for itself; `team` is a key's tenant."""
    only: str | None = None
    """The one key (id), user, team or model that it holds for; None: each of them."""
    usd: float | None = None
    tokens: int | None = None
    every: str | None = None
    """A calendar window: hour, day, week, month or year."""
    zone: str = "UTC"
    """Where the calendar hangs."""
    rolling: str | None = None
    """The window is always the last 30m, 24h, 7d ... ."""
    hard: bool = True
    """Refuse what might exceed it; false: only warn and degrade."""
    warn_at: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Share from which on answers carry a warning; None: 0.8, of a soft budget 1."""
    degrade: str | None = None
    """From there on routed requests get: `cheapest`, `no`, or a pipeline (`auto:NAME`).
    None: `cheapest` of a soft budget, `no` of a hard one."""
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    """The output limit of requests that bring none."""
    clamp: bool = False
    """Lower a request's output limit to what is left rather than refuse it."""
    wait_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    """How long a request waits where calls under way may leave enough."""
    lost: Literal["return", "charge"] = "return"
    """What becomes of a reservation whose process died before it settled."""

    def __post_init__(self) -> None:
        """Raises a ValueError on a limit that is not above 0, and on parts that do not fit."""
        if (self.usd is None) == (self.tokens is None):
            raise ValueError(f"the budget {self.name!r} needs either `usd` or `tokens`")
        amount = self.usd if self.tokens is None else self.tokens
        if amount is None or not 0 < amount < float("inf") or not 0 < self.limit <= LARGEST:
            wanted = "more than 0 and at most 9.2 million USD"
            if self.tokens is not None:
                wanted = f"at least 1 token and at most {LARGEST:.1g}"
            raise ValueError(
                f"the budget {self.name!r} is {amount}; expected {wanted} "
                "(to forbid a model, leave it out of `models` or write a rule)"
            )
        if self.per in ("request", "global") and self.only is not None:
            raise ValueError(f"the budget {self.name!r}: `only` goes with per: key, user, team or model")
        if self.per == "request" and (self.every or self.rolling or not self.hard):
            raise ValueError(f"the budget {self.name!r} is per request: it has no window, and is hard")
        if self.degrade is not None and not (
            self.degrade in ("cheapest", "no", "auto") or self.degrade.startswith("auto:")
        ):
            raise ValueError(
                f"the budget {self.name!r}: degrade is {self.degrade!r}; expected cheapest, no or auto:NAME"
            )
        self.window  # noqa: B018  raises where it is none

    @cached_property
    def window(self) -> Window:
        try:
            return window(self.every, self.rolling, self.zone)
        except ValueError as error:
            raise ValueError(f"the budget {self.name!r}: {error}") from None

    @property
    def unit(self) -> Unit:
        return "usd" if self.tokens is None else "tokens"

    @cached_property
    def limit(self) -> int:
        """Whole pico-dollars, or tokens."""
        if self.tokens is not None:
            return self.tokens
        return int(Decimal(repr(self.usd)) * PICO)

    @property
    def warns_at(self) -> float:
        """The share of the limit."""
        return self.warn_at if self.warn_at is not None else 0.8 if self.hard else 1.0

    @property
    def degrades_to(self) -> str | None:
        """`cheapest`, a pipeline's name for clients, or None."""
        chosen = self.degrade or ("no" if self.hard else "cheapest")
        return None if chosen == "no" else chosen

    def account(self, subject: str) -> str:
        """Names the books of one subject."""
        return f"{self.name}|{self.unit}|{self.window.name}|{subject}"


def shown(amount: int, unit: Unit) -> str:
    """An amount for people.

    Examples
    --------
    >>> shown(1_500_000_000_000, "usd"), shown(1200, "tokens")
    ('1.5 USD', '1200 tokens')
    """
    if unit == "tokens":
        return f"{amount} tokens"
    text = f"{Decimal(amount).scaleb(-12):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} USD"
