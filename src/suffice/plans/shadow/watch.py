"""The monitor of one certificate on disk, where every worker of a gateway and the next start find it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from suffice.calibration.guarantee import Certificate, Monitor
from suffice.errors import ArtefactError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one worker only
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

WATCHED: Final = ("mean-drop", "regressions")
"""Promises about the difference of two answers; the others also need the quality itself."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Of shadows, since the certificate was put to use."""

    failed: int = 0
    """Left out: the strong model or the grader gave nothing."""
    skipped: int = 0
    """Requests that were not shadowed because too many shadows were open."""
    cost_usd: Decimal = Decimal(0)
    """Of known costs: the strong model's further answers, and the judge's."""

    def plus(self, other: Tally) -> Tally:
        return Tally(
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            cost_usd=self.cost_usd + other.cost_usd,
        )


class _File(msgspec.Struct, frozen=True, kw_only=True):
    certificate: str
    """SHA-256 of the certificate that it watches."""
    monitor: str
    tally: Tally = Tally()


class Watch:
    """Monitor and tally, the same for all who share the file.

    Every update reads the file, adds to it and replaces it, under a lock: so the drops of all workers make
    one sequence, and one monitor spends delta once, however many workers there are.
    """

    def __init__(self, path: Path, certificate: Certificate) -> None:
        """
        Raises
        ------
        ArtefactError
            If its file is damaged. One of another certificate is replaced at the first update.
        """
        self.path = path
        self._certificate = certificate
        self._digest = hashlib.sha256(certificate.to_json().encode()).hexdigest()
        self._stamp: tuple[int, int] | None = None
        self.monitor = Monitor(epsilon=certificate.epsilon, delta=certificate.delta)
        self.tally = Tally()
        self.refresh()

    def refresh(self) -> None:
        """Take up what others wrote; costs one look at the file where they wrote nothing.

        Raises
        ------
        ArtefactError
            If the file is damaged.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._read()
            self._stamp = stamp

    def update(self, drops: Sequence[float], tally: Tally) -> None:
        """Add drops, in order, and counts; blocks on the disk. Where that fails memory goes on alone."""
        try:
            with self._locked():
                if self.path.exists():
                    self._read()
                self._add(drops, tally)
                self._write()
        except (OSError, ArtefactError) as error:
            _log.error("the monitor %s cannot be kept, a restart will forget it: %s", self.path, error)
            self._add(drops, tally)

    def _add(self, drops: Sequence[float], tally: Tally) -> None:
        for drop in drops:
            self.monitor.update(drop)
        self.tally = self.tally.plus(tally)

    def _read(self) -> None:
        try:
            kept = msgspec.json.decode(self.path.read_bytes(), type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ArtefactError(
                f"{self.path} is not a monitor's file ({error}): certify anew, or remove it to begin anew"
            ) from error
        if kept.certificate == self._digest:
            self.monitor = Monitor.from_json(kept.monitor)
            self.tally = kept.tally

    def _write(self) -> None:
        content = _File(certificate=self._digest, monitor=self.monitor.to_json(), tally=self.tally)
        scratch = self.path.with_name(f".{self.path.name}.new")
        scratch.write_bytes(msgspec.json.encode(content))
        os.replace(scratch, self.path)
        found = self.path.stat()
        self._stamp = (found.st_mtime_ns, found.st_ino)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.path.with_name(f".{self.path.name}.lock"), "w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
