"""Several server processes behind one listening socket, and the process that looks after them.

The socket is opened once and inherited: a connection that waits in its queue is lost with no worker, and
whichever worker is free takes it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from suffice.errors import ConfigError, SufficeError
from suffice.gateway.exchange import Application
from suffice.gateway.limits import Limits
from suffice.gateway.server import bind, run

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
_HEALTHY_S: Final = 5.0
"""A worker that lived this long is replaced at once."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

_log = logging.getLogger("suffice.gateway")


def serve(
    application: Application,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    workers: int = 1,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT.

    Parameters
    ----------
    application : ASGI 3; started once in each worker
    workers : processes; 1 serves in this one
    on_ready : called with the port once requests are accepted

    Raises
    ------
    ConfigError
        If the address cannot be listened on or the application does not start.
    """
    limits = limits or Limits()
    with bind(host, port) as sock:
        ready = (lambda: on_ready(sock.getsockname()[1])) if on_ready else None
        if workers == 1:
            run(application, sock, limits=limits, tls=tls, on_ready=ready)
            return

        def work(worker: int, say_ready: Callable[[], None], lifeline: int) -> None:
            run(
                application,
                sock,
                limits=limits,
                tls=tls,
                on_ready=say_ready,
                lifeline=lifeline,
                worker=worker,
            )

        Supervisor(work, workers, limits.grace_s, ready).supervise()


class Supervisor:
    """Forks workers, replaces the dead, passes signals on."""

    def __init__(
        self,
        work: Callable[[int, Callable[[], None], int], None],
        n_workers: int,
        grace_s: float,
        on_ready: Callable[[], None] | None,
    ) -> None:
        """
        Parameters
        ----------
        work : what a worker does, given its number, what to call when it is ready, and its lifeline
        grace_s : after which workers that were told to stop are killed
        on_ready : called once, when every worker is ready
        """
        self._work = work
        self._n_workers = n_workers
        self._grace_s = grace_s
        self._on_ready = on_ready
        self._born: dict[int, tuple[int, float]] = {}
        """Number and start time of the workers, by process id."""
        self._due: list[tuple[float, int]] = []
        """When to start which of the workers that are missing."""
        self._pause_s = _FIRST_PAUSE_S
        self._n_ready = 0
        self._stop_by: float | None = None
        self._lifeline = os.pipe()
        self._ready = os.pipe()

    def supervise(self) -> None:
        """Returns when every worker has ended.

        Raises
        ------
        ConfigError
            If the workers cannot start.
        """
        with _woken_by_signals() as wake:
            self._due = [(0.0, worker) for worker in range(self._n_workers)]
            while self._born or self._due:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    self._fork(self._due.pop(0)[1])
                self._wait(wake)
                self._reap()
        if not self._n_ready:
            raise ConfigError("the workers did not start; the first one said why")

    def _wait(self, wake: int) -> None:
        """Until a signal, a worker that is ready, or the next thing to do."""
        now = time.monotonic()
        due = [*(at for at, _ in self._due), *([] if self._stop_by is None else [self._stop_by])]
        timeout = max(0.0, min(due) - now) if due else None
        readable, _, _ = select.select([wake, self._ready[0]], [], [], timeout)
        if self._ready[0] in readable:
            before = self._n_ready
            self._n_ready += len(os.read(self._ready[0], 1024))
            if before < self._n_workers <= self._n_ready and self._on_ready is not None:
                self._on_ready()
        if wake in readable:
            received = set(os.read(wake, 1024))
            if received & {signal.SIGTERM, signal.SIGINT}:
                self._stop(signal.SIGTERM)
        if self._stop_by is not None and time.monotonic() >= self._stop_by:
            self._stop(signal.SIGKILL)

    def _stop(self, number: int) -> None:
        self._due.clear()
        self._stop_by = time.monotonic() + self._grace_s + 10.0
        for pid in self._born:
            os.kill(pid, number)

    def _reap(self) -> None:
        for pid in list(self._born):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            worker, born_at = self._born.pop(pid)
            lived_s = time.monotonic() - born_at
            if self._stop_by is not None:
                continue
            if not self._n_ready:  # it cannot start at all: nor could the next one
                self._stop(signal.SIGTERM)
                continue
            self._pause_s = (
                min(2 * self._pause_s, _LONGEST_PAUSE_S) if lived_s < _HEALTHY_S else _FIRST_PAUSE_S
            )
            code = os.waitstatus_to_exitcode(status)
            _log.error("worker %d ended with %d; another one starts in %.1f s", pid, code, self._pause_s)
            self._due.append((time.monotonic() + self._pause_s, worker))

    def _fork(self, worker: int) -> None:
        pid = os.fork()
        if pid:
            self._born[pid] = worker, time.monotonic()
        else:
            self._become(worker)

    def _say_ready(self) -> None:
        os.write(self._ready[1], b"r")

    def _become(self, worker: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.close(self._lifeline[1])
            os.close(self._ready[0])
            self._work(worker, self._say_ready, self._lifeline[0])
            code = 0
        except SufficeError as error:
            sys.stderr.write(f"error: {error}\n")
        except KeyboardInterrupt:
            code = 130
        finally:
            sys.stderr.flush()
            os._exit(code)  # what the parent set up to happen at its own exit is not ours to do


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[int]:
    """A file descriptor that becomes readable, with the signals' numbers, when one arrives."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    woken = signal.set_wakeup_fd(writing)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
