"""Runs stages: each into a folder named by the hash of all it depends on, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice.distillation.flywheel import preflight, stages
from suffice.distillation.flywheel.executors import Executor, LocalExecutor
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.work import Done, Manifest, Result, Stage, Step, Watch, Work, quiet
from suffice.errors import ConfigError, DataError, SufficeError

MANIFEST: Final = "manifest.json"
_PIECE: Final = 1 << 20


class Runner:
    """The stages of one project, under `DIRECTORY/stages/NAME-HASH/`."""

    def __init__(
        self,
        project: Project,
        *,
        on_step: Step = quiet,
        watch: Watch | None = None,
        executor: Executor | None = None,
        now: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        watch : opened around each stage that runs, in place of `on_step`
        executor : for stages with big jobs; None: this process
        now : Unix seconds; None: the clock's
        """
        self.project = project
        self._watch = watch or (lambda name: contextlib.nullcontext(on_step))
        self._executor = executor or LocalExecutor()
        self._now = time.time() if now is None else now
        self.folder = project.path("stages")
        self.journals = project.path("journals")

    def done(self, name: str) -> Done | None:
        """A stage's newest result, if it is finished and nothing it depends on has changed since."""
        stage = stages.get(name)
        inputs = [self.done(one) for one in stage.needs]
        if any(one is None for one in inputs):
            return None
        plan = self._plan(stage, [one for one in inputs if one is not None])
        return self._read(plan) if stage.live is None else self._newest(plan)

    def run(self, name: str, *, anew: bool = False) -> Done:
        """One stage; what is done already is only looked up.

        Parameters
        ----------
        anew : run it even so

        Raises
        ------
        ConfigError
            If a stage that it needs is not done, or another command works on the project.
        SufficeError
            What the stage failed with; what it had written is kept in a folder NAME-HASH.failed.
        """
        stage = stages.get(name)
        preflight.check_use(self.project, name)
        inputs = []
        for one in stage.needs:
            found = self.done(one)
            if found is None:
                raise ConfigError(f"{name} needs the result of {one}: run `suffice distill {one}` first")
            inputs.append(found)
        plan = self._plan(stage, inputs)
        if stage.live is not None:
            plan = plan.reading(stage.live(self.project, plan.settings, self._now), self.folder)
        found = self._read(plan)
        if found is not None and not anew and not found.manifest.is_partial:
            if stage.live is not None:
                os.utime(found.folder / MANIFEST)  # what is live is as it was then: the newest result again
            return found
        preflight.check(self.project, stage)
        with self._locked():
            return self._do(stage, plan, inputs)

    def run_all(self, *, upto: str | None = None, past_stops: bool = False) -> Iterator[Done]:
        """Every stage in its order, each as soon as it is done; ends where a stage says so.

        Parameters
        ----------
        upto : the last stage to run
        past_stops : go on where a stage says that nothing more is needed
        """
        names = stages.available()
        if upto is not None and upto not in names:
            raise ConfigError(f"there is no stage {upto!r}; known: {', '.join(names)}")
        wanted = names if upto is None else names[: names.index(upto) + 1]
        self._check_all(wanted)
        for name in wanted:
            found = self.run(name)
            yield found
            if found.manifest.stop and not past_stops:
                return

    def _check_all(self, names: Sequence[str]) -> None:
        """What is wrong with a later stage is said before an earlier one is paid for."""
        preflight.check_name(self.project)
        for name in names:
            preflight.check_use(self.project, name)
            done = self.done(name)
            if done is None or done.manifest.is_partial:
                preflight.check(self.project, stages.get(name))

    def _plan(self, stage: Stage, inputs: list[Done]) -> _Plan:
        settings = self.project.settings(stage.name, stage.settings)
        digests = {
            f"{one.manifest.stage}/{file}": digest
            for one in inputs
            for file, digest in one.manifest.outputs.items()
        }
        if stage.sources is not None:
            digests |= stage.sources(self.project, settings, self._now)
        read = {name: attrgetter(name)(self.project) for name in stage.reads}
        chosen = msgspec.to_builtins(settings)
        counted = {name: value for name, value in chosen.items() if name not in stage.aside}
        key = _short(msgspec.to_builtins((stage.name, stage.version, read, counted, digests)))
        return _Plan(
            stage=stage.name,
            version=stage.version,
            hash=key,
            key=key,
            project=msgspec.to_builtins(read),
            settings=settings,
            inputs=digests,
            folder=self.folder / f"{stage.name}-{key}",
        )

    def _newest(self, plan: _Plan) -> Done | None:
        """Of results that differ in what is live alone."""
        paths = sorted(
            self.folder.glob(f"{plan.stage}-*/{MANIFEST}"), key=lambda path: path.stat().st_mtime_ns
        )
        for path in reversed(paths):
            found = None if path.parent.name.endswith(".failed") else self._read(plan, path.parent)
            if found is not None and found.manifest.key == plan.key:
                return found
        return None

    def _read(self, plan: _Plan, folder: Path | None = None) -> Done | None:
        folder = folder or plan.folder
        path = folder / MANIFEST
        try:
            return Done(folder=folder, manifest=msgspec.json.decode(path.read_bytes(), type=Manifest))
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError) as error:
            raise DataError(f"no manifest: {error}; remove the folder", file=str(path)) from error

    def _do(self, stage: Stage, plan: _Plan, inputs: list[Done]) -> Done:
        scratch = plan.folder.with_name(f".part-{plan.folder.name}")
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
        started = time.monotonic()
        try:
            scratch.mkdir(parents=True)
            self.journals.mkdir(exist_ok=True)
            with self._watch(stage.name) as on_step:
                result = stage.run(self._work(plan, inputs, scratch, on_step))
            manifest = _manifest(plan, result, scratch, time.monotonic() - started)
            _write(scratch / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
            _replace(scratch, plan.folder)
            for old in self.folder.glob(f"{stage.name}-*.failed"):
                shutil.rmtree(old, ignore_errors=True)
        except SufficeError:
            _replace(scratch, plan.folder.with_name(f"{plan.folder.name}.failed"))
            raise
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            what = f"could not be written: {error.strerror}" if error.strerror else f"failed: {error}"
            said = f"{stage.name} {what}; what was paid for is kept"
            raise DataError(said, file=str(plan.folder)) from error
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return Done(folder=plan.folder, manifest=manifest, is_new=True)

    def _work(self, plan: _Plan, inputs: list[Done], out: Path, on_step: Step) -> Work:
        return Work(
            project=self.project,
            settings=plan.settings,
            inputs={one.manifest.stage: one.folder for one in inputs},
            out=out,
            journals=self.journals,
            on_step=on_step,
            now=self._now,
            executor=self._executor,
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time works on a project."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", file=str(self.folder)) from error
        try:
            with contextlib.suppress(ImportError):
                import fcntl

                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise ConfigError(
                        f"another `suffice distill` works on {self.project.directory}"
                    ) from error
            yield
        finally:
            os.close(handle)


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be: all that its outputs depend on, and where they go."""

    stage: str
    version: int
    hash: str
    key: str
    project: Mapping[str, Any]
    settings: Any
    inputs: Mapping[str, str]
    folder: Path

    def reading(self, live: Mapping[str, str], stages: Path) -> _Plan:
        """The same with what is live, as it is now."""
        key = _short((self.key, msgspec.to_builtins(live)))
        inputs = {**self.inputs, **live}
        return msgspec.structs.replace(self, hash=key, inputs=inputs, folder=stages / f"{self.stage}-{key}")


def _short(parts: Any) -> str:
    return blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=6).hexdigest()


def _manifest(plan: _Plan, result: Result, folder: Path, seconds: float) -> Manifest:
    from suffice import __version__

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Manifest(
        stage=plan.stage,
        version=plan.version,
        hash=plan.hash,
        key=plan.key,
        project=plan.project,
        settings=msgspec.to_builtins(plan.settings),
        inputs=plan.inputs,
        outputs={path.relative_to(folder).as_posix(): digest(path) for path in files},
        counts=result.counts,
        notes=result.notes,
        stop=result.stop,
        is_partial=result.is_partial,
        written_by=__version__,
        seconds=round(seconds, 3),
    )


def digest(path: Path) -> str:
    """Of a file's content.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    found = blake2b(digest_size=12)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from error
    return found.hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(scratch: Path, folder: Path) -> None:
    """The new folder in the old one's place."""
    if not scratch.exists():
        return
    old = folder.with_name(f".old-{folder.name}")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(scratch, folder)
    shutil.rmtree(old, ignore_errors=True)
