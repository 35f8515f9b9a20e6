"""The same question answered again and again, by lot."""

from __future__ import annotations

from collections.abc import Sequence

from suffice.errors import ConfigError
from suffice.plans.probes.base import TOP, Caller, Evidence, Said
from suffice.types import Query


class Samples:
    """`n` calls with seeds 1 to n; a sample that fails is left out and noted."""

    name = "samples"
    after: tuple[str, ...] = ()

    def __init__(self, n: int = 5, temperature: float = 0.8, max_tokens: int = 512, seed: int = 0) -> None:
        """
        Parameters
        ----------
        n : at least 1
        temperature : 0.8 as in the papers on self-consistency, 1.0 as in those on semantic entropy
        seed : added to every call's own
        """
        if n < 1 or temperature <= 0:
            raise ConfigError(f"{n} samples at temperature {temperature}: need one, above 0")
        self.n, self.temperature, self.max_tokens, self.seed = n, temperature, max_tokens, seed

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        return await caller.together(
            [
                caller(
                    query,
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    seed=self.seed + place + 1,
                    top=TOP,
                )
                for place in range(self.n)
            ]
        )
