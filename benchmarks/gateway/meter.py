"""What a process spends: instructions where the machine counts them, CPU time always."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


class Spent:
    """Filled in when the measurement ends."""

    cpu_s: float = 0.0
    instructions: float | None = None
    """User and kernel; None where there is no counter, as in many virtual machines."""


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    with contextlib.suppress(OSError):
        for child in children.read_text().split():
            found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    """CPU time of all threads of a process and its descendants, to the nanosecond."""
    total = 0
    for member in family(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its descendants."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total += int(line.split()[1])
    return total / 1024


def counts_instructions() -> bool:
    """Whether `perf stat` works and the machine has the counter."""
    try:
        done = subprocess.run(
            ["perf", "stat", "-x", ",", "-e", "instructions", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stderr.partition(",")[0].strip().isdigit()


@contextlib.contextmanager
def measured(pid: int, *, with_perf: bool) -> Iterator[Spent]:
    """What a process and its descendants spend inside the block."""
    spent = Spent()
    perf = None
    if with_perf:
        members = ",".join(map(str, family(pid)))
        perf = subprocess.Popen(
            ["perf", "stat", "-x", ",", "-e", "instructions", "-p", members],
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.2)
    before = cpu_s(pid)
    yield spent
    spent.cpu_s = cpu_s(pid) - before
    if perf is not None:
        perf.send_signal(2)
        counted = perf.communicate()[1].partition(",")[0].strip()
        spent.instructions = float(counted) if counted.isdigit() else None
