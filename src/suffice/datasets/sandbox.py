"""Untrusted Python: found in a response, run in a bare subprocess with limits."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from typing import Final

from suffice.errors import ConfigError

ANSWER: Final = re.compile(r"\banswer\s*[*_`]*\s*:", re.IGNORECASE)
FENCE: Final = re.compile(r"```[^\n`]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_PYTHON_STARTS = ("def ", "import ", "from ", "async def ", "class ", "@")

# Runs inside the child before any untrusted line. The limits come first; then an audit hook, which
# cannot be removed again, refuses sockets, processes, signals and every file but the interpreter's own
# modules. A fence against careless code, not a jail for an attacker: use a container for that.
_SANDBOX = """
import os, posix, resource as r, sys
code, tests = sys.stdin.read().split(chr(0))
cpu_s, memory_mb = map(int, sys.argv[1:])
for limit, value in (
    (r.RLIMIT_CPU, cpu_s), (r.RLIMIT_AS, memory_mb << 20), (r.RLIMIT_FSIZE, 0),
    (r.RLIMIT_CORE, 0), (r.RLIMIT_NOFILE, 16), (r.RLIMIT_NPROC, 0),
):
    r.setrlimit(limit, (value, value))
def fence(event, args, roots=(sys.prefix, sys.base_prefix), str=str, any=any):
    if event in ("open", "os.listdir"):
        inside = any(str(args[0]).startswith(root) for root in roots)
        if inside and (event == "os.listdir" or args[1] in ("r", "rb")):
            return
        raise PermissionError(event)
    if event.split(".")[0] in (
        "os", "socket", "subprocess", "shutil", "ctypes", "signal", "resource", "mmap", "tempfile"
    ):
        raise PermissionError(event)
sys.addaudithook(fence)
leave = os._exit
for module in (os, posix):
    del module._exit
try:
    space = {"__name__": "answer"}
    exec(compile(code, "answer", "exec"), space)
    exec(compile(tests, "tests", "exec"), space)
except BaseException:
    leave(1)
leave(0)
"""


def python_source(response: str) -> str:
    """The code of a response: its fences when they define a function, else from its first code line."""
    fences = [body for body in FENCE.findall(response) if re.search(r"\bdef |\blambda\b", body)]
    if fences:
        lines = "\n".join(fences).splitlines()
        return "\n".join(line for line in lines if not line.lstrip().startswith("```"))
    lines = [line for line in response.splitlines() if not line.lstrip().startswith("```")]
    for at, line in enumerate(lines):
        text = re.sub(r"^\W*answer\W*:\W*", "", line, flags=re.IGNORECASE).strip("`")
        if text.startswith(_PYTHON_STARTS) or re.match(r"\w+\s*=\s*lambda\b", text):
            # "Answer: done" below the code would parse as an annotation.
            rest = [line.rstrip("`") for line in lines[at + 1 :] if not ANSWER.match(line.lstrip(" *"))]
            return _until_prose([text, *rest])
    return ""


def _until_prose(lines: list[str]) -> str:
    """Longest run of leading lines that parses: prose after the code is left out."""
    for end in range(len(lines), 0, -1):
        source = "\n".join(lines[:end])
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return source
    return ""


def run_python(source: str, tests: str, *, cpu_s: int = 2, wall_s: float = 5.0, memory_mb: int = 256) -> bool:
    """Whether the tests run to their end after the source, in a process of its own.

    It has no files, no network, no processes and no environment, and is killed at any limit.

    Parameters
    ----------
    source : untrusted; an empty one fails
    tests : `assert` statements, run in the same namespace
    cpu_s, wall_s, memory_mb : limits

    Raises
    ------
    ConfigError
        Where the system has no POSIX resource limits.
    """
    if not source or "\0" in source or "\0" in tests:
        return False
    if os.name != "posix":
        raise ConfigError("running answers as code needs POSIX resource limits, which this system lacks")
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-B", "-c", _SANDBOX, str(cpu_s), str(memory_mb)],
                input=f"{source}\0{tests}".encode(errors="replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd=folder,
                timeout=wall_s,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
