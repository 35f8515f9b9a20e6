"""Real database servers for tests and benchmarks: found on this machine, started in a folder of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WAIT_S = 30.0


class Missing(Exception):
    """The server is not installed; says what was looked for."""


class Server:
    """One that can be killed and started again, on the same data."""

    def __init__(
        self,
        url: str,
        command: list[str],
        is_up: Callable[[], bool],
        user: int | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.url = url
        self._command, self._is_up, self._cwd = command, is_up, cwd
        self._user = user if user != os.getuid() else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers; raises Missing if it does not."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd=self._cwd,
        )
        deadline = time.monotonic() + _WAIT_S
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"{self._command[0]} did not start")
            time.sleep(0.05)

    def freeze(self) -> None:
        """It and what it started do nothing more, until `thaw`."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """All at once, with signal 9; the first is stopped so that it starts nothing in between."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._send(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _send(self, number: int) -> None:
        assert self._process is not None
        pid = self._process.pid
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for one in (pid, *map(int, started)):
            with suppress(ProcessLookupError):
                os.kill(one, number)


@contextmanager
def redis_server(*, is_kept: bool = False) -> Iterator[str]:
    """A Redis (or Valkey) server; yields its URL.

    Parameters
    ----------
    is_kept : every write is on disk before it is acknowledged
    """
    with redis_process("always" if is_kept else None) as server:
        yield server.url


@contextmanager
def redis_process(fsync: str | None = None) -> Iterator[Server]:
    """The same as one that can be killed.

    Parameters
    ----------
    fsync : `appendfsync` of its log; None: without one
    """
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise Missing("neither redis-server nor valkey-server is installed")
    with _folder(os.getuid()) as folder:
        path = folder / "redis.sock"
        log = ["--save", ""] if fsync is None else ["--appendonly", "yes", "--appendfsync", fsync]
        command = [binary, "--port", "0", "--unixsocket", str(path), "--dir", str(folder), *log]
        with _running(Server(f"unix://{path}", command, lambda: _connects(path))) as server:
            yield server


@contextmanager
def postgres_server(*, is_kept: bool = False) -> Iterator[str]:
    """A PostgreSQL server; yields the URL of an empty database.

    Parameters
    ----------
    is_kept : a commit is on disk before it is acknowledged
    """
    with postgres_process(is_kept=is_kept) as server:
        yield server.url


@contextmanager
def postgres_process(*, is_kept: bool = False) -> Iterator[Server]:
    """The same as one that can be killed."""
    initdb, binary = _postgres("initdb"), _postgres("postgres")
    user = _unprivileged()
    with _folder(user) as folder:
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", str(data), "-U", "suffice", "-A", "trust", "-N", "--no-instructions"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=user,
            cwd=folder,
        )
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={folder}",
            f"fsync={'on' if is_kept else 'off'}",
            "jit=off",
        ]
        command = [binary, "-D", str(data), *(part for setting in settings for part in ("-c", setting))]
        url = f"postgresql://suffice@/postgres?host={folder}"
        with _running(Server(url, command, lambda: _accepts(url), user, folder)) as server:
            yield server


def _postgres(name: str) -> str:
    found = shutil.which(name)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    if found is None and not places:
        raise Missing(f"PostgreSQL's {name} is not installed")
    return str(places[0]) if places else str(found)


def _unprivileged() -> int:
    """Who runs PostgreSQL, which refuses to be run by root."""
    if os.getuid() != 0:
        return os.getuid()
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise Missing("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextmanager
def _folder(user: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sfc-"))  # short: the path of a socket may have 107 bytes
    try:
        if user != os.getuid():
            os.chown(folder, user, -1)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _accepts(url: str) -> bool:
    """Whether PostgreSQL is ready; it listens before it is."""
    import psycopg

    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _connects(path: Path) -> bool:
    """Whether Redis is ready; it listens before its log is read."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def benchmark(name: str, *arguments: str) -> str:
    """What a script of `benchmarks/online` prints."""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "online" / name), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
