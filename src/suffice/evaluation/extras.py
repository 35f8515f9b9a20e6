"""What a comparison is asked for beside the comparison itself."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """Further trainings; with several seeds they are made on the first split only."""

    leave_out: str | None = None
    """The column whose groups are left out of training in turn."""
    groups: Mapping[str, str] | None = None
    """Group by query id, for a column other than the task."""
    new_models: tuple[str, ...] = ()
    """Left out of training in turn, then added with a few labels."""
    n_labels: int = 100
    curve: tuple[float, ...] = ()
    """Shares of the training queries to train on."""
    robustness: bool = False
    """Whether choices are compared with those for reworded queries."""


NO_EXTRAS = Extras()
