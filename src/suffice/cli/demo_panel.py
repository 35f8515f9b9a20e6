"""What `suffice demo` asks: a configured panel, else what is found, else local models, else a recording."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape

from suffice import build, embedders, starter
from suffice.build import Trained
from suffice.cli.demo_queries import QUERIES, DemoQuery, first, recorded_queries
from suffice.config import DEFAULT_FILE, Config, load
from suffice.errors import PullError
from suffice.starter import Panel, Starter

_OWN: Final = frozenset({"local", "ollama", "vllm", "recorded"})
"""Providers whose answers are known to take `logprobs` and a temperature."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one demonstration needs."""

    config: Config
    file: Path | None
    """The configuration; None where it was made for this run only."""
    queries: Sequence[DemoQuery]
    fields: Mapping[str, Any] = {}
    """Of every request."""
    starter: Starter | None = None
    panel: Panel | None = None
    """None: the user's own configuration."""
    trained: Trained | None = None
    """A router that is not in a file."""

    @property
    def is_live(self) -> bool:
        return self.panel is None or self.panel.kind != "recorded"


def set_up(config: Path | None, n_queries: int, out: Console) -> Stage:
    """Find a panel, say which, and get its router ready.

    Raises
    ------
    SufficeError
        If the user's own configuration is wrong.
    """
    if config is not None or Path(DEFAULT_FILE).exists():
        file = config or Path(DEFAULT_FILE)
        loaded = load(file)
        say(out, f"panel of {file}: {', '.join(model.name for model in loaded.models)}")
        fields = _fields([model.provider for model in loaded.models])
        return Stage(config=loaded, file=file, queries=first(QUERIES, n_queries), fields=fields)
    found = starter.look(os.environ, online=True)
    panel = starter.choose(found)
    if panel is None or panel.kind == "local" or len(panel.arms) < 2:
        panel = _local(found, out)
    if panel is None:
        return _recorded(n_queries, out)
    say(out, "getting a router from the recorded panel (trained once, then kept) ...")
    return staged(panel, n_queries, out)


def staged(panel: Panel, n_queries: int, out: Console, *, speed: float = 1.0) -> Stage:
    """A panel with the router that the recorded panel gives it, made once and then kept."""
    file, made = starter.prepare(panel, speed=speed)
    return Stage(
        config=load(file),
        file=file,
        queries=first(QUERIES, n_queries),
        fields=_fields([entry.provider for entry in panel.entries]),
        starter=made,
        panel=panel,
    )


def say(out: Console, text: str, style: str = "") -> None:
    """One plain line, whatever is in it."""
    out.print(escape(text), style=style, highlight=False, soft_wrap=True)


def _fields(providers: Sequence[str]) -> Mapping[str, Any]:
    """Hosted models may refuse log-probabilities and temperatures: they are asked plainly."""
    return {"logprobs": True, "temperature": 0} if set(providers) <= _OWN else {}


def _local(found: starter.Found, out: Console) -> Panel | None:
    """The local models, fetched where they are missing; None where that fails."""
    from suffice.cli.pull import fetch
    from suffice.providers.pull import KNOWN

    if importlib.util.find_spec("xllamacpp") is None:
        say(out, "local models need xllamacpp: pip install 'suffice[local]'", "yellow")
        return None
    missing = [name for name in KNOWN if name not in found.pulled]
    if missing:
        size = sum(KNOWN[name].n_bytes for name in missing) / 1e9
        say(
            out,
            f"no key in the environment and no server here: fetching {', '.join(missing)} ({size:.1f} GB)",
        )
    try:
        for name in missing:
            fetch(name)
    except PullError as error:
        say(out, str(error), "yellow")
        return None
    return starter.local_panel("; ".join(found.seen) or "local models", found.offers, as_recorded=True)


def _recorded(n_queries: int, out: Console) -> Stage:
    """Recorded answers to recorded questions; the router is trained on the others."""
    from suffice.datasets.panel import load_outcomes, load_runs

    say(out, "NOT LIVE: there is no model to ask, so recorded answers are shown again.", "bold red")
    queries = recorded_queries(load_runs(), n_queries)
    shown = {query.text for query in queries}
    outcomes = load_outcomes()
    rest = [row for row, text in enumerate(outcomes.texts) if text not in shown]
    panel = starter.recorded_panel()
    with tempfile.TemporaryDirectory() as directory:
        made = starter.write(panel, Path(directory), outcomes=outcomes.select(rows=rest))
        config = load(Path(directory) / DEFAULT_FILE)
        trained = build.load_trained(config.path(starter.ROUTER_DIR), embedders.create(), build.panel(config))
    return Stage(
        config=msgspec.structs.replace(config, store="sqlite:///:memory:"),
        file=None,
        queries=queries,
        fields=_fields(["recorded"]),
        starter=made,
        panel=panel,
        trained=trained,
    )
