"""A limit that no set of concurrent calls can break: the most a call can cost is set aside before it."""

from __future__ import annotations

import asyncio
from decimal import Decimal


class Budget:
    """Of one event loop. What is spent and what is set aside together never exceed the limit."""

    def __init__(self, limit_usd: Decimal | None, spent_usd: Decimal = Decimal(0)) -> None:
        """
        Parameters
        ----------
        limit_usd : None: no limit
        spent_usd : before, and within the limit
        """
        self.limit_usd, self.spent_usd = limit_usd, spent_usd
        self.reserved_usd = Decimal(0)
        self._n_open = 0
        self._freed = asyncio.Event()

    async def reserve(self, usd: Decimal) -> bool:
        """Set an amount aside; waits while calls under way might leave enough. False: it cannot fit."""
        while self.limit_usd is not None and self.spent_usd + self.reserved_usd + usd > self.limit_usd:
            if not self._n_open or self.spent_usd + usd > self.limit_usd:
                return False
            await self._freed.wait()
        self.reserved_usd += usd
        self._n_open += 1
        return True

    def settle(self, reserved_usd: Decimal, charged_usd: Decimal) -> None:
        """The call is over: give back what was set aside, count what it cost."""
        self.reserved_usd -= reserved_usd
        self._n_open -= 1
        self.spent_usd += charged_usd
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()
