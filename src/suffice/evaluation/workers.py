"""Trials one after the other in this process, or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from suffice.evaluation.trials import Bench, Failed, Trial, Tried, run

OnStep = Callable[[str], None]
"""Told what has just been done."""

_bench: Bench | None = None
"""Of a worker process."""


class Workers:
    """Runs trials on one bench; results do not depend on how many work at a time."""

    def __init__(self, bench: Bench, *, jobs: int = 1) -> None:
        """
        Parameters
        ----------
        bench : sent to every process once
        jobs : processes; 1 works here
        """
        self._bench, self._jobs = bench.remembering() if jobs == 1 else bench, jobs
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[BaseProcess] = set()

    def __enter__(self) -> Self:
        if self._jobs > 1:
            self._others = set(multiprocessing.active_children())
            self._pool = ProcessPoolExecutor(
                self._jobs,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(self._bench,),
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        if kind is not None:  # Ctrl-C above all: nobody waits for a long training
            started = set(multiprocessing.active_children()) - self._others
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.terminate()
        self._pool.shutdown()

    def run(self, trials: Sequence[Trial], on_step: OnStep = lambda step: None) -> list[Tried | Failed]:
        """All of them, in the order given."""
        if self._pool is None:
            return [_told(run(trial, self._bench), trial, on_step) for trial in trials]
        waiting: dict[Future[Tried | Failed], Trial] = {
            self._pool.submit(_run, trial): trial for trial in trials
        }
        in_order = list(waiting)
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                _told(future.result(), waiting.pop(future), on_step)
        return [future.result() for future in in_order]


def _told(result: Tried | Failed, trial: Trial, on_step: OnStep) -> Tried | Failed:
    on_step(f"{trial.router}: {trial.step}")
    return result


def _start(bench: Bench) -> None:
    """In a worker: keep the bench, leave Ctrl-C to the parent, and do not outlive it."""
    global _bench  # noqa: PLW0603  what an initializer is for
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _bench = bench.remembering()


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers, and they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(trial: Trial) -> Tried | Failed:
    assert _bench is not None
    return run(trial, _bench)
