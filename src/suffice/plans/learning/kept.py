"""What a learner keeps on disk: a directory that is replaced as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice import bandits
from suffice.bandits import BaseBandit
from suffice.errors import ArtefactError
from suffice.plans.learning.rater import Spent
from suffice.plans.learning.rewards import Fairness

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one worker only
    fcntl = None  # type: ignore[assignment]

_FACTS: Final = "learner.json"


class Kept(msgspec.Struct, kw_only=True):
    """Beside the bandit: how far the log was read, and what must not be counted twice."""

    store: str
    """Which one was read."""
    records_seq: int
    feedback_seq: int
    fairness: Fairness
    pace: dict[str, Any] | None = None
    bills: dict[str, list[float]] = {}
    own: list[str] = []
    counts: dict[str, int] = {}
    rated: Spent | None = None
    about: str = ""
    """Bandit, its parameters and contexts: a state is only good for the same."""


class Shelf:
    """`path/state`, and `path/old` while it is replaced. Several workers may share it."""

    def __init__(self, path: Path, about: str) -> None:
        """
        Parameters
        ----------
        about : what a state must be of
        """
        self.path, self._about = path, about

    def load(self) -> Kept | None:
        """None if nothing was kept.

        Raises
        ------
        ArtefactError
            If it is damaged, about something else, or cannot be kept there.
        """
        try:
            directory = self._current()
        except OSError as error:
            raise ArtefactError(f"nothing can be kept in {self.path}: {error}") from error
        if directory is None:
            return None
        try:
            kept = msgspec.json.decode((directory / _FACTS).read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArtefactError(
                f"{directory} holds no state of a policy ({error}); name another `path`, it is then learnt "
                "anew from the store's records"
            ) from error
        if kept.about != self._about:
            raise ArtefactError(
                f"{self.path} was learnt by {kept.about}, the configuration says {self._about}: name another "
                "`path`, it is then learnt anew from the store's records"
            )
        return kept

    def check(self) -> None:
        """Raises ArtefactError if nothing can be kept there, or what is kept does not fit; makes nothing."""
        if self.path.exists():
            if self.load() is not None:
                self.bandit()
            return
        above = next(one for one in self.path.absolute().parents if one.exists())
        try:
            os.rmdir(tempfile.mkdtemp(dir=above))
        except OSError as error:
            raise ArtefactError(f"nothing can be kept in {self.path}: {error}") from error

    def bandit(self) -> BaseBandit:
        """Raises ArtefactError if it is damaged."""
        directory = self._current()
        found = bandits.load_bandit((directory or self.path) / "bandit")
        assert isinstance(found, BaseBandit)
        return found

    def save(self, bandit: BaseBandit, kept: Kept) -> None:
        """Raises OSError if the disk does not take it; the old one stays then."""
        fresh = self.path / f"new-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        bandit.save(fresh / "bandit")
        kept.about = self._about
        (fresh / _FACTS).write_bytes(msgspec.json.encode(kept))
        state, old = self.path / "state", self.path / "old"
        with self._locked():
            if state.exists():
                shutil.rmtree(old, ignore_errors=True)
                state.rename(old)
            fresh.rename(state)

    def _current(self) -> Path | None:
        with self._locked():
            return next((one for name in ("state", "old") if (one := self.path / name).exists()), None)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
