"""Which configuration a command works with: the file, else what is found on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from suffice.cli.base import notes
from suffice.config import DEFAULT_FILE, Config, load
from suffice.errors import ConfigError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help=f"The configuration; {DEFAULT_FILE}, else what is found here."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")]

NOTHING_TO_ASK = (
    f"there is no {DEFAULT_FILE}, no key in the environment and no local model: set OPENAI_API_KEY, "
    "ANTHROPIC_API_KEY or GEMINI_API_KEY, start Ollama, or run `suffice pull all` for two small local models "
    "(`suffice demo` does that and shows the routing)"
)


def configuration(path: Path | None) -> Config:
    """The configuration of a file; without one, of the models that are found.

    Raises
    ------
    ConfigError
        If the file is wrong or there is nothing to ask.
    """
    return load(configuration_file(path))


def configuration_file(path: Path | None) -> Path:
    """The file that `configuration` reads; made for the models that are found where there is none.

    Raises
    ------
    ConfigError
        If there is nothing to ask.
    """
    if path is not None or Path(DEFAULT_FILE).exists():
        return path or Path(DEFAULT_FILE)
    from suffice import starter

    panel = starter.choose(starter.look(os.environ))
    if panel is None:
        raise ConfigError(NOTHING_TO_ASK)
    names = ", ".join(entry.name for entry in panel.entries)
    note = f"no {DEFAULT_FILE}: asking {names} ({panel.found}); `suffice init` writes one"
    notes.print(escape(note), style="dim", highlight=False, soft_wrap=True)
    file, _ = starter.prepare(panel)
    return file
