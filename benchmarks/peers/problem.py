"""What every side of the comparison is given, and what it gives back; numpy and the standard library only.

Each peer runs in a virtual environment of its own, so problems and answers travel as files.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

N_WARM_UP = 5
N_TIMED = 100


@dataclass
class Problem:
    """A split: vectors, quality and costs of training and test queries."""

    models: list[str]
    train_texts: list[str]
    test_texts: list[str]
    train_vectors: NDArray[np.float32]
    test_vectors: NDArray[np.float32]
    train_quality: NDArray[np.float64]
    """(n_train, K); NaN is unknown."""
    test_quality: NDArray[np.float64]
    train_cost: NDArray[np.float64]
    """(n_train, K) USD; NaN is unknown."""
    test_cost: NDArray[np.float64]
    pair: list[str] | None = None
    """(strong, weak)."""
    is_tuned: bool = True
    """Whether peers look for their best setting too, or run with their defaults alone."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        np.savez(folder / "arrays.npz", **arrays)
        rest = {name: value for name, value in vars(self).items() if name not in arrays}
        (folder / "texts.json").write_text(json.dumps(rest), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Problem:
        with np.load(folder / "arrays.npz") as arrays:
            return cls(**json.loads((folder / "texts.json").read_text("utf-8")), **dict(arrays))


@dataclass
class Answer:
    """What one router made of a problem."""

    router: str
    choices: list[int] | None = None
    """A model per test query: routers that give nothing but a choice."""
    curves: list[list[int]] | None = None
    """Several such choices, at several settings."""
    win_rate: list[float] | None = None
    """Of the strong model, per test query."""
    fit_s: float | None = None
    decision_us: float | None = None
    """Median of one decision, the embedding looked up."""
    decision_us_p95: float | None = None
    note: str = ""


@dataclass
class Report:
    """All routers of one peer, and what it takes to have it."""

    peer: str
    import_cpu_s: float
    import_rss_mb: float
    site_mb: float
    n_packages: int
    answers: list[Answer] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Report:
        fields = json.loads(path.read_text("utf-8"))
        return cls(**fields | {"answers": [Answer(**answer) for answer in fields["answers"]]})


def imported(peer: str, load: Callable[[], object]) -> Report:
    """A report that says what importing the peer took in this process, and what is installed for it."""
    before_cpu, before_rss = process_time(), _rss_mb()
    load()
    cpu, rss = process_time() - before_cpu, _rss_mb() - before_rss
    site = Path(sysconfig.get_paths()["purelib"])
    n_bytes = sum(
        os.lstat(Path(folder) / name).st_size for folder, _, names in os.walk(site) for name in names
    )
    return Report(
        peer=peer,
        import_cpu_s=cpu,
        import_rss_mb=rss,
        site_mb=n_bytes / 1e6,
        n_packages=len(list(site.glob("*.dist-info"))),
    )


def timed_decisions(decide: Callable[[int], object], n_test: int) -> tuple[float, float]:
    """Median and 95th percentile of one decision in microseconds, over the first test queries."""
    taken = []
    for row in range(min(n_test, N_WARM_UP + N_TIMED)):
        start = perf_counter()
        decide(row)
        taken.append(perf_counter() - start)
    found = 1e6 * np.array(taken[N_WARM_UP:] or taken)
    return float(np.median(found)), float(np.quantile(found, 0.95))


def folder_and_output() -> tuple[Path, Path]:
    """The two arguments of every side: where the problem lies, and where the report goes."""
    return Path(sys.argv[1]), Path(sys.argv[2])


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
