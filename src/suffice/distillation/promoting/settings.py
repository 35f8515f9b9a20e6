"""The section `promote` of distill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from suffice.distillation.flywheel.project import Count, SettingError, Settings, Share

Level = Annotated[float, Meta(gt=0, lt=1)]


class Promoting(Settings, frozen=True, kw_only=True):
    """What a student must show, how it is served, and how it meets traffic."""

    # the gate
    alpha: Level = 0.05
    """The chance that a student passes which is just as bad as the margin allows."""
    least: Count = 100
    """Held rows without which nothing is promoted."""

    # deferral
    serve: Literal["cascade", "student", "auto"] = "auto"
    """cascade: keep what it is sure of, the rest goes to the teacher; student: it alone; auto: a cascade
    where its promise is certified, else alone."""
    promise: str = "mean-drop"
    delta: Level = 0.1
    """The chance that the promise is wrong; what it allows is the project's `margin`."""
    calibration: Share = 0.4
    """Of the held rows: they set the threshold and have no part in the gate's word on the cascade."""

    # the panel
    usd_per_cpu_hour: Annotated[float, Meta(gt=0)] = 0.05
    """What a student on your own machine costs."""
    base: str | None = None
    """The GGUF file beneath an adapter, as it lies where the gateway runs."""
    candidate: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Further keys of its entry under `models`, such as `provider`, `base_url` or prices of a hosted one."""

    # live traffic
    control: str | None = None
    """What clients ask for now: by default `auto:NAME` of the project's name, which the teacher answers until
    a student does."""
    judge: str | None = None
    """A candidate that rates answers: with one, a shadow goes before the canary."""
    stages: tuple[Share, ...] = ()
    """Shares of the canary; empty: 1, 5, 25, 50 %."""
    judged: Annotated[int, Meta(ge=2)] = 50
    """Answers with feedback, of each arm and stage, before anything is decided."""
    metric: Annotated[str, Meta(min_length=1, max_length=100)] = "score"
    """The feedback that is quality."""
    max_error_rate: Level = 0.05
    max_p95_s: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.calibration < 1:
            said = f"calibration is {self.calibration:g}: expected a share inside (0, 1), such as 0.4"
            raise SettingError("calibration", said)
        if list(self.stages) != sorted(set(self.stages)) or not all(0 < share < 1 for share in self.stages):
            raise SettingError(
                "stages",
                f"{[float(f'{share:g}') for share in self.stages]}: expected shares of the traffic inside "
                "(0, 1), each larger than the one before, such as [0.05, 0.5]; all of the traffic comes by "
                "itself after the last",
            )
