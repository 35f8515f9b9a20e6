"""Steps down a loss that can be interrupted anywhere and go on to the same result.

AdamW (Loshchilov and Hutter, 2019) with a linear warm-up and decay. Every few steps all that the next step
depends on is written to one file, which takes the old one's place at once. Rows are ordered by seed and
epoch alone, so no random state has to be kept.

What does not fit into memory is done in smaller parts whose gradients add up: the result is the same but
for rounding, and it is said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from suffice.errors import DataError
from suffice.routers.tuning import Rows, by_length, pace_at

CHECKPOINT: Final = "checkpoint.safetensors"
_LARGEST_GRADIENT: Final = 1.0
_MEMORY_SIGNS: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")

Say = Callable[[str], None]
Count = Annotated[int, Meta(ge=1)]


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how fast to learn."""

    epochs: Count = 1
    batch: Count = 8
    rate: Annotated[float, Meta(gt=0)] = 5e-4
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    checkpoint_every: Count = 10
    """Steps."""
    seed: int = 0

    def steps_per_epoch(self, n_rows: int) -> int:
        return -(-n_rows // self.batch)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of one step, or of a look at the validation rows at the end of an epoch."""

    step: int
    n_steps: int
    loss: float
    validation_loss: float | None = None


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """How it went."""

    n_steps: int
    loss: float
    """Mean over the last epoch."""
    validation_loss: float | None
    """The best, whose weights were kept; None without validation rows."""
    batch_in_memory: int
    """Rows that went through the model at once at the end."""


class _State(msgspec.Struct):
    """Where a training stands, besides tensors."""

    of: str
    step: int = 0
    at_once: int = 0
    losses: list[float] = []
    """Of this epoch."""
    epoch_loss: float = 0.0
    """Of the last whole one."""
    best: float | None = None


class Descent:
    """Trains named tensors in place."""

    def __init__(
        self,
        weights: Mapping[str, Any],
        loss: Callable[[Rows], Any],
        schedule: Schedule,
        folder: Path,
        *,
        of: str,
        look: Callable[[], float] | None = None,
        say: Say = lambda _: None,
        report: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """
        Parameters
        ----------
        weights : by name; what learns
        loss : the sum over some rows of each row's own loss
        folder : where the checkpoint is kept, made if missing; one of an equal `of` is gone on from
        of : says what is trained on what; another one starts afresh
        look : the loss on validation rows, taken after each epoch; the best epoch's weights are kept
        """
        self._weights, self._loss, self._schedule = dict(weights), loss, schedule
        self._path, self._look, self._say, self._report = folder / CHECKPOINT, look, say, report
        self._state = _State(of=of, at_once=schedule.batch)
        self._best: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, lengths: Sequence[int]) -> Trained:
        """All steps that are left.

        Parameters
        ----------
        lengths : of every row, in tokens: rows of like length go together

        Raises
        ------
        DataError
            If there is no row, not even one row fits into memory, or the checkpoint cannot be written.
        """
        if not len(lengths):
            raise DataError("no rows to train on")
        import torch

        sizes = np.asarray(lengths)
        plan, per_epoch = self._schedule, self._schedule.steps_per_epoch(len(sizes))
        n_steps = plan.epochs * per_epoch
        optimiser = torch.optim.AdamW(
            list(self._weights.values()), lr=plan.rate, weight_decay=plan.weight_decay
        )
        self._restore(optimiser)
        state = self._state
        while state.step < n_steps:
            epoch, place = divmod(state.step, per_epoch)
            rows = _epoch(sizes, plan, epoch)[place]
            for group in optimiser.param_groups:
                group["lr"] = plan.rate * pace_at(state.step, n_steps)
            loss = self._step(optimiser, rows)
            state.step += 1
            state.losses.append(loss)
            seen = self._end_epoch() if state.step % per_epoch == 0 else None
            self._report(Progress(step=state.step, n_steps=n_steps, loss=loss, validation_loss=seen))
            if state.step % plan.checkpoint_every == 0 or state.step == n_steps:
                self._keep(optimiser)
        if self._best:
            self._put(self._best)
        return Trained(
            n_steps=n_steps,
            loss=state.epoch_loss,
            validation_loss=state.best,
            batch_in_memory=state.at_once,
        )

    def _step(self, optimiser: Any, rows: Rows) -> float:
        """One update; in smaller and smaller parts until they fit."""
        import torch

        while True:
            optimiser.zero_grad()
            try:
                total = 0.0
                for start in range(0, len(rows), self._state.at_once):
                    loss = self._loss(rows[start : start + self._state.at_once]) / len(rows)
                    loss.backward()
                    total += float(loss.detach())
                break
            except (MemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
                self._halve(min(len(rows), self._state.at_once), error)
        torch.nn.utils.clip_grad_norm_(list(self._weights.values()), _LARGEST_GRADIENT)
        optimiser.step()
        return total

    def _halve(self, tried: int, error: BaseException) -> None:
        import torch

        if tried == 1:
            raise DataError(
                "out of memory with a single row: shorten max_length, or take a smaller base"
            ) from error
        self._state.at_once = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._say(
            f"out of memory with {tried} rows at once: going on with {self._state.at_once}, whose gradients "
            f"add up to those of a batch of {self._schedule.batch}"
        )

    def _end_epoch(self) -> float | None:
        state = self._state
        state.epoch_loss, state.losses = float(np.mean(state.losses)), []
        if self._look is None:
            return None
        seen = self._look()
        if state.best is None or seen < state.best:
            state.best = seen
            self._best = {name: weight.detach().clone() for name, weight in self._weights.items()}
        return seen

    def _put(self, values: Mapping[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(values[name])

    def _keep(self, optimiser: Any) -> None:
        from safetensors.torch import save_file

        tensors = {f"best.{name}": value for name, value in self._best.items()}
        for name, weight in self._weights.items():
            own = optimiser.state[weight]
            tensors[f"weight.{name}"] = weight.detach()
            tensors[f"first.{name}"], tensors[f"second.{name}"] = own["exp_avg"], own["exp_avg_sq"]
        scratch = self._path.with_name(f".part-{self._path.name}")
        try:
            tensors = {name: one.cpu().contiguous() for name, one in tensors.items()}
            save_file(tensors, str(scratch), {"state": msgspec.json.encode(self._state).decode()})
            os.replace(scratch, self._path)
        except Exception as error:  # the library raises an error of its own where the disk is full
            scratch.unlink(missing_ok=True)
            raise DataError(f"cannot be written: {error}", file=str(self._path)) from error

    def _restore(self, optimiser: Any) -> None:
        """Go on from the checkpoint, if it is of this training; one that cannot be read is started over."""
        import torch
        from safetensors import SafetensorError, safe_open

        if not self._path.is_file():
            return
        try:
            with safe_open(str(self._path), "pt") as file:
                state = msgspec.json.decode((file.metadata() or {})["state"], type=_State)
                if state.of != self._state.of:
                    return
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, KeyError, OSError, msgspec.DecodeError) as error:
            self._say(f"the checkpoint {self._path} cannot be read ({error}): starting over")
            return
        self._state = state
        self._put({name: tensors[f"weight.{name}"] for name in self._weights})
        for name, weight in self._weights.items():
            optimiser.state[weight] = {
                "step": torch.tensor(float(state.step)),
                "exp_avg": tensors[f"first.{name}"].to(weight.device),
                "exp_avg_sq": tensors[f"second.{name}"].to(weight.device),
            }
            if state.best is not None:
                self._best[name] = tensors[f"best.{name}"]
        self._say(f"going on from step {state.step}")


def fingerprint(*facts: Any) -> str:
    """A digest of what a training depends on, as JSON values."""
    import hashlib

    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _epoch(sizes: Any, schedule: Schedule, epoch: int) -> list[Rows]:
    """The batches of one epoch, in an order of its own."""
    rng = np.random.default_rng((schedule.seed, epoch))
    order = by_length(rng.permutation(len(sizes)), sizes, schedule.batch)
    starts = rng.permutation(np.arange(0, len(order), schedule.batch))
    return [order[start : start + schedule.batch] for start in starts.tolist()]


def _is_memory(error: BaseException) -> bool:
    """torch.OutOfMemoryError is a RuntimeError; that of the CPU says so only in words."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _MEMORY_SIGNS)
