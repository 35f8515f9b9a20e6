"""`hosted`: a provider tunes its own model: upload, job, wait; any endpoint with OpenAI's shapes.

`POST /files` (multipart), `POST /fine_tuning/jobs`, `GET /fine_tuning/jobs/ID`. What it will cost is said
before anything is sent, and a limit may forbid it. Every step leaves a line in `job.json`: a command that
was killed goes on with the files and the job it had, and never pays for a second one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from suffice.distillation.flywheel.project import Settings
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.trainers.base import CLASSIFY, Course, teachable
from suffice.distillation.trainers.loop import Count, fingerprint
from suffice.distillation.trainers.tuning_api import Api, Job
from suffice.errors import ConfigError, DataError, ProviderError
from suffice.providers.student_card import StudentCard, write_card

STATE: Final = "job.json"
_CHARACTERS_PER_TOKEN: Final = 4.0
"""Of English text under common tokenizers; only for the estimate."""
_TOKENS_PER_MESSAGE: Final = 4
_LEAST_ROWS: Final = 10
"""OpenAI refuses fewer."""
_DONE: Final = ("succeeded", "failed", "cancelled")
_MOST_FAILURES: Final = 5
"""Looks at a job in a row that may fail before we give up; the job goes on without us."""


class HostedSettings(Settings, frozen=True, kw_only=True):
    """Of the section `train`."""

    base: str
    """The provider's model to tune, such as `gpt-4.1-mini-2025-04-14`."""
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key."""
    epochs: Count = 3
    suffix: str | None = None
    """Becomes part of the tuned model's name."""
    usd_per_mtok: Annotated[float, Meta(ge=0)] | None = None
    """What training costs, for the estimate; None: not known, and then `max_usd` must be null."""
    max_usd: Annotated[float, Meta(ge=0)] | None = None
    """No job is made that is estimated to cost more."""
    poll_s: Annotated[float, Meta(gt=0)] = 20.0
    patience_s: Annotated[float, Meta(gt=0)] = 86_400.0
    """After that long the command ends; the same command waits on."""
    seed: int = 0


class _State(msgspec.Struct):
    """What has been done already."""

    of: str
    """What is trained, on what."""
    training_file: str | None = None
    validation_file: str | None = None
    job: str | None = None


class Hosted:
    """Implements `Trainer`."""

    extra: ClassVar[str | None] = None
    settings: ClassVar[type[Settings]] = HostedSettings
    name: ClassVar[str] = "hosted"
    aside: ClassVar[frozenset[str]] = frozenset({"poll_s", "patience_s", "max_usd", "usd_per_mtok"})

    def __init__(self, settings: HostedSettings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings, self._sleep = settings, sleep

    def train(self, course: Course) -> StudentCard:
        """`student.json` with the tuned model's id, when the job has succeeded."""
        own, task = self._settings, course.task
        labels: tuple[str, ...] = ()
        rows, held = list(course.rows), list(course.validation)
        if task.kind == CLASSIFY:
            classes, looks = teachable(course)
            labels, rows, held = classes.labels, list(classes.rows), list(looks.rows)
        train, validation = (_lines(part, task.instruction) for part in (rows, held))
        if len(train) < _LEAST_ROWS:
            raise DataError(f"{len(train)} training rows: a hosted job needs at least {_LEAST_ROWS}")
        usd, n_tokens = self._estimate(train)
        course.say(
            f"about {n_tokens:,} tokens in {own.epochs} epochs"
            + (f", {usd:.2f} USD" if usd is not None else "")
        )
        job = self._waited(self._started(course, train, validation), course)
        if job.status != "succeeded" or not job.fine_tuned_model:
            why = f": {job.error.message}" if job.error is not None and job.error.message else ""
            (course.out / STATE).unlink(missing_ok=True)  # the next command starts anew
            raise DataError(f"the job {job.id} ended as {job.status}{why}")
        facts = {
            "job": job.id,
            "trained_tokens": job.trained_tokens,
            "estimated_usd": usd,
            "usd": None if own.usd_per_mtok is None or job.trained_tokens is None
            else job.trained_tokens * own.usd_per_mtok / 1e6,
        }  # fmt: skip
        card = StudentCard(
            kind="hosted",
            trainer=self.name,
            task=task.kind,
            labels=labels,
            instruction=task.instruction,
            base=own.base,
            model=job.fine_tuned_model,
            n_train=len(train),
            n_validation=len(validation),
            settings=msgspec.to_builtins(own),
            facts=facts,
        )
        write_card(card, course.out)
        return card

    def _estimate(self, lines: Sequence[bytes]) -> tuple[float | None, int]:
        """USD, None where no price is known, and tokens of all epochs.

        Raises
        ------
        ConfigError
            If it is more than may be spent.
        """
        own = self._settings
        n_tokens = own.epochs * sum(_n_tokens(line) for line in lines)
        if own.usd_per_mtok is None:
            if own.max_usd is not None:
                raise ConfigError("max_usd needs usd_per_mtok: without a price no cost can be estimated")
            return None, n_tokens
        usd = n_tokens * own.usd_per_mtok / 1e6
        if own.max_usd is not None and usd > own.max_usd:
            raise ConfigError(
                f"the job would cost about {usd:.2f} USD, more than max_usd {own.max_usd:.2f}: take fewer "
                "rows or epochs, or raise the limit; nothing was sent"
            )
        return usd, n_tokens

    def _started(self, course: Course, train: Sequence[bytes], validation: Sequence[bytes]) -> str:
        """The job's id: of a former command, or a new one."""
        own, path = self._settings, course.out / STATE
        what = {name: value for name, value in msgspec.to_builtins(own).items() if name not in self.aside}
        key = fingerprint(what, [line.decode() for line in (*train, b"", *validation)])
        state = _read(path, key)
        if state.job is not None:
            course.say(f"going on with the job {state.job}")
            return state.job
        api = self._api()
        if state.training_file is None:
            state.training_file = api.upload("train.jsonl", b"".join(train))
            _write(path, state)
        if validation and state.validation_file is None:
            state.validation_file = api.upload("validation.jsonl", b"".join(validation))
            _write(path, state)
        state.job = api.find(state.training_file) or api.create(
            {
                "model": own.base,
                "training_file": state.training_file,
                **({"validation_file": state.validation_file} if state.validation_file else {}),
                **({"suffix": own.suffix} if own.suffix else {}),
                "seed": own.seed,
                "method": {
                    "type": "supervised",
                    "supervised": {"hyperparameters": {"n_epochs": own.epochs}},
                },
            }
        )
        _write(path, state)
        course.say(f"started the job {state.job}")
        return state.job

    def _waited(self, name: str, course: Course) -> Job:
        """The job at its end."""
        own, api = self._settings, self._api()
        waited, n_failed, status = 0.0, 0, ""
        while True:
            try:
                job, n_failed = api.job(name), 0
            except ProviderError as error:
                n_failed += 1
                if not error.is_retryable or n_failed >= _MOST_FAILURES:
                    raise
                job = None
            if job is not None and job.status in _DONE:
                return job
            if job is not None and job.status != status:
                status = job.status
                course.say(f"{name}: {status}")
            if waited >= own.patience_s:
                raise DataError(f"{name} is still {status} after {waited:.0f} s: the same command waits on")
            self._sleep(own.poll_s)
            waited += own.poll_s

    def _api(self) -> Api:
        own = self._settings
        key = os.environ.get(own.api_key_env)
        if not key:
            raise ConfigError(f"set the environment variable {own.api_key_env} to the provider's key")
        return Api(own.base_url, key)


def _lines(rows: Sequence[Row], instruction: str) -> list[bytes]:
    """OpenAI's chat format, a line each."""
    system = [{"role": "system", "content": instruction}] if instruction else []
    return [
        msgspec.json.encode(
            {"messages": [*system, *row.asked().chat(), {"role": "assistant", "content": row.label}]}
        )
        + b"\n"
        for row in rows
        if row.label
    ]


def _n_tokens(line: bytes) -> int:
    messages = msgspec.json.decode(line)["messages"]
    n_characters = sum(len(str(message.get("content") or "")) for message in messages)
    return round(n_characters / _CHARACTERS_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(messages)


def _read(path: Path, key: str) -> _State:
    try:
        state = msgspec.json.decode(path.read_bytes(), type=_State)
    except (OSError, msgspec.DecodeError):
        return _State(of=key)
    return state if state.of == key else _State(of=key)


def _write(path: Path, state: _State) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".part-{path.name}")
    try:
        scratch.write_bytes(msgspec.json.encode(state))
        os.replace(scratch, path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", file=str(path)) from error
