"""Where the parts of a big job run: here one after another, or on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from suffice.errors import MissingDependency

P = TypeVar("P")
R = TypeVar("R")


class Executor(Protocol):
    """Applies a function to parts; both can be pickled."""

    @property
    def is_local(self) -> bool:
        """Whether parts run in this process, one after another."""
        ...

    def map(self, function: Callable[[P], R], parts: Sequence[P]) -> Iterator[R]:
        """Results in the order of the parts; the first failure ends the rest."""
        ...


class LocalExecutor:
    """Here and now."""

    is_local = True

    def map(self, function: Callable[[P], R], parts: Sequence[P]) -> Iterator[R]:
        return map(function, parts)


class RayExecutor:
    """On a Ray cluster, at most `at_once` parts under way. Journals must lie where every node sees them."""

    is_local = False

    def __init__(self, address: str | None = None, *, at_once: int = 64) -> None:
        """
        Parameters
        ----------
        address : of the cluster; None: `RAY_ADDRESS`, else a cluster of this machine alone

        Raises
        ------
        MissingDependency
            If Ray is not installed.
        """
        try:
            import ray
        except ImportError as error:
            raise MissingDependency("ray", "ray", "running on a cluster") from error
        self._ray: Any = ray
        self._at_once = at_once
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)

    def map(self, function: Callable[[P], R], parts: Sequence[P]) -> Iterator[R]:
        """Each part is a task of its own; Ray runs a task again whose machine was lost."""
        task = self._ray.remote(function)
        waiting = [task.remote(part) for part in parts[: self._at_once]]
        for number in range(len(parts)):
            found: R = self._ray.get(waiting[number])
            if len(waiting) < len(parts):
                waiting.append(task.remote(parts[len(waiting)]))
            yield found
