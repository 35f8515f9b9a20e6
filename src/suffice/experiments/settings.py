"""What an experiment is: two ways to answer, how traffic is split, and when it ends."""

from __future__ import annotations

import math
import re
from typing import Any, Final, Literal

import msgspec

from suffice.errors import ConfigError

Kind = Literal["shadow", "canary", "ab"]
STAGES: Final[dict[str, tuple[float, ...]]] = {
    "shadow": (0.05,),
    "canary": (0.01, 0.05, 0.25, 0.5),
    "ab": (0.5,),
}
"""Shares of the traffic that the treatment gets (a shadow: of which it is asked too), one after the other."""
DIFFERENCE: Final = "shadow-difference"
"""The name of the feedback in which a judge says how much better a shadow's answer is, in [-1, 1]."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One experiment, as started.

    Raises
    ------
    ConfigError
        If it makes no sense; the message says what was expected.
    """

    name: str
    treatment: str
    """`auto:NAME` or a candidate: what is tried."""
    control: str = "auto"
    """What clients ask for and get now."""
    kind: Kind = "canary"
    stages: tuple[float, ...] = ()
    """Empty: those of the kind."""
    margin: float = 0.02
    """By so much the quality may be worse."""
    alpha: float = 0.05
    """The chance that an interval ever misses."""
    least: int = 50
    """Judged answers of each arm before quality decides anything, and of the treatment in each stage."""
    n_target: int = 1000
    """Judged answers of both arms, at an even split, at which intervals are tightest."""
    metric: str = "score"
    """The name of the feedback that is quality, in [0, 1]; the first on each answer counts."""
    max_cost_increase_usd: float | None = 0.0
    """Per request; promoted only where it surely stays below. None: cost does not matter."""
    max_error_rate: float | None = 0.05
    """Of the treatment; rolled back where it is surely higher. None: not watched."""
    max_p95_s: float | None = None
    """The treatment's 95th percentile of latency; rolled back where it is surely higher."""
    judge: str | None = None
    """A shadow's: the candidate that rates both answers."""
    salt: str = ""
    """Another one draws other users; empty: the name."""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ConfigError(f"the experiment {self.name[:100]!r}: {problem}")

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the stages, ascending."""
        return self.stages or STAGES[self.kind]

    def _problems(self) -> list[str]:
        shares = self.shares
        is_canary = self.kind == "canary"
        checks: list[tuple[Any, str]] = [
            (_NAME.fullmatch(self.name), "its name may have letters, digits and _.:-, 100 at most"),
            (self.control and self.treatment, "name what is asked now and what is tried"),
            (self.control != self.treatment, f"control and treatment are both {self.control!r}"),
            (
                all(0 < share < 1 for share in shares) and list(shares) == sorted(set(shares)),
                f"stages {list(shares)}: expected rising shares inside (0, 1)",
            ),
            (is_canary or len(shares) == 1, f"only a canary has several stages, not {self.kind}"),
            (0 <= self.margin < 1, f"margin {self.margin}: expected 0 up to below 1"),
            (0 < self.alpha < 1, f"alpha {self.alpha}: expected inside (0, 1)"),
            (self.least >= 2 and self.n_target >= 2, "least and n_target must be at least 2"),
            (
                self.max_cost_increase_usd is None or math.isfinite(self.max_cost_increase_usd),
                "max_cost_increase_usd must be a number",
            ),
            (self.max_error_rate is None or 0 < self.max_error_rate < 1, "max_error_rate: a share in (0, 1)"),
            (self.max_p95_s is None or 0 < self.max_p95_s < math.inf, "max_p95_s: seconds above 0"),
            (self.kind != "shadow" or self.judge, "a shadow's answers reach no user: name a judge"),
            (self.kind == "shadow" or not self.judge, f"only a shadow has a judge, not {self.kind}"),
            (self.metric and len(self.metric) <= 100, "metric: the name of a feedback"),
        ]
        return [said for is_fine, said in checks if not is_fine]
