"""`suffice up`: the gateway, in a fresh process that holds nothing it does not need."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from suffice.cli.setting import ConfigOption, configuration_file


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(_up)


def _up(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 picks a free one; 8080.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the port.")] = 1,
) -> None:
    """Serve the OpenAI-compatible gateway until Ctrl-C."""
    command = [sys.executable, "-m", "suffice.gateway", "--config", str(configuration_file(config))]
    if host is not None:
        command += ["--host", host]
    if port is not None:
        command += ["--port", str(port)]
    command += ["--workers", str(workers)]
    # A decision is too small to be worth sharing out, and the other cores have requests of their own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.stdout.flush()
    os.execv(sys.executable, command)
