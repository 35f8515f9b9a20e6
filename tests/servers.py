"""Real database servers for tests and benchmarks: found on this machine, started in a folder of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WAIT_S = 30.0


class Missing(Exception):
    """The server is not installed; says what was looked for."""


@contextmanager
def redis_server(*, is_kept: bool = False) -> Iterator[str]:
    """A Redis (or Valkey) server; yields its URL.

    Parameters
    ----------
    is_kept : every write is on disk before it is acknowledged
    """
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise Missing("neither redis-server nor valkey-server is installed")
    with _folder(os.getuid()) as folder:
        path = folder / "redis.sock"
        log = ["--appendonly", "yes", "--appendfsync", "always"] if is_kept else ["--save", ""]
        command = [binary, "--port", "0", "--unixsocket", str(path), "--dir", str(folder), *log]
        with _running(command, lambda: _connects(path)):
            yield f"unix://{path}"


@contextmanager
def postgres_server(*, is_kept: bool = False) -> Iterator[str]:
    """A PostgreSQL server; yields the URL of an empty database.

    Parameters
    ----------
    is_kept : a commit is on disk before it is acknowledged
    """
    initdb, server = _postgres("initdb"), _postgres("postgres")
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
        command = [server, "-D", str(data), *(part for setting in settings for part in ("-c", setting))]
        url = f"postgresql://suffice@/postgres?host={folder}"
        with _running(command, lambda: _accepts(url), user, folder):
            yield url


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
def _running(
    command: list[str], is_up: Callable[[], bool], user: int | None = None, cwd: Path | None = None
) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user if user != os.getuid() else None,
        cwd=cwd,
    )
    try:
        deadline = time.monotonic() + _WAIT_S
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"{command[0]} did not start")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(url: str) -> bool:
    """Whether PostgreSQL is ready; it listens before it is."""
    import psycopg

    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
