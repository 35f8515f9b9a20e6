"""A panel as the text of a suffice.yaml that explains itself."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Final

import msgspec

from suffice.starter.panel import Entry, Panel
from suffice.starter.router import Starter

SCHEMA_FILE: Final = "suffice.schema.json"
ROUTER_DIR: Final = "router"

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})

_TAIL: Final = """\

# More ways to answer, asked for as model "auto:NAME"; what is left out is taken from above.
# pipelines:
#   cheap: {policy: {name: floor, floor: 0.5}}

# Give an answer again to the same request, to others that it serves (semantic), over restarts (store).
# cache: {semantic: true, ttl_s: 86400, store: "sqlite:///cache.db"}

# Records, feedback, keys and spend.
store: sqlite:///suffice.db

gateway:
  host: 127.0.0.1
  port: 8080
  # auth: true             # demand a key (suffice keys create); by default once there is one
  # keep_content: true     # store queries and answers too
  # timeout_s: 300         # one request, all retries and fallbacks included
  # retries: 1             # further tries at one candidate before the next is asked
"""


def as_yaml(panel: Panel, starter: Starter | None = None) -> str:
    """The text of a configuration with every choice explained.

    Parameters
    ----------
    starter : the router that lies in `router/` beside the file; None takes one that needs no training
    """
    return (
        "".join(
            f"{line}\n" if line else "\n"
            for line in (*_head(panel), *_models(panel), *_router(panel, starter), *_policy(starter))
        )
        + _TAIL
    )


def _head(panel: Panel) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
    yield from _comment("What Suffice asks and how it chooses; `suffice doctor` checks it.")
    yield from _comment(f"Found when this was written: {panel.found or 'nothing'}.")
    yield from _comment("${NAME} is taken from the environment, so no key stands in this file.")
    yield ""


def _models(panel: Panel) -> Iterator[str]:
    yield "models:"
    for entry in panel.entries:
        yield from _comment(entry.note, indent=2)
        yield f"  - name: {_scalar(entry.name)}"
        for key, value in _settings(entry):
            yield f"    {key}: {value}"
    if panel.kind == "remote":
        yield "  # Prices come from the catalogue (suffice models); your own win:"
        yield "  #   input_usd_per_mtok: 0.15"
        yield "  #   output_usd_per_mtok: 0.60"
    yield ""


def _settings(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "provider", _scalar(entry.provider)
    if entry.model != entry.name:
        yield "model", _scalar(entry.model)
    if entry.base_url:
        yield "base_url", _scalar(entry.base_url)
    if entry.key:
        yield "api_key", f"${{{entry.key}}}"
    if entry.input_usd_per_mtok is not None and entry.output_usd_per_mtok is not None:
        yield (
            "input_usd_per_mtok",
            f"{_number(entry.input_usd_per_mtok)}   # an assumption: what your machine costs",
        )
        yield "output_usd_per_mtok", _number(entry.output_usd_per_mtok)
    if entry.usd_per_cpu_hour is not None:
        yield (
            "usd_per_cpu_hour",
            f"{_number(entry.usd_per_cpu_hour)}   # an assumption: what an hour of a core costs",
        )
    options = {"system": entry.system, "max_tokens": entry.max_tokens}
    given = [f"{name}: {_value(value)}" for name, value in options.items() if value is not None]
    if given:
        yield "options", f"{{{', '.join(given)}}}"


def _router(panel: Panel, starter: Starter | None) -> Iterator[str]:
    yield from _comment("Predicts how good each answer would be, before anybody is asked.")
    if starter is None:
        yield from _comment(
            "This one ships trained: it reads how hard a question is, and expects more of dearer models."
        )
        yield "router: {name: builtin}"
    else:
        yield from _comment(
            f"This one was trained on the {starter.n_queries} recorded questions that ship with Suffice."
        )
        if panel.borrows:
            yield from _comment(f"Its {panel.borrows}.")
        yield from _comment("From your own outcomes: suffice train knn --data outcomes.parquet --out router")
        yield f"router: {{name: {starter.router}, path: {ROUTER_DIR}/}}"
    yield ""


def _policy(starter: Starter | None) -> Iterator[str]:
    yield from _comment(
        "value_usd is what a fully right answer is worth to you: 0 asks the cheapest, .inf the best."
    )
    if starter is not None:
        yield from _comment(f"{starter.value_usd:g} is {starter.why}.")
    yield f"policy: {{name: utility, value_usd: {_number(0.02 if starter is None else starter.value_usd)}}}"


def _comment(text: str, indent: int = 0) -> Iterator[str]:
    start = " " * indent + "# "
    yield from textwrap.wrap(" ".join(text.split()), 100, initial_indent=start, subsequent_indent=start)


def _scalar(text: str) -> str:
    """Bare where that cannot be misread."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if is_plain else msgspec.json.encode(text).decode()


def _number(value: float) -> str:
    """YAML takes 2e-05 for a word, and 2.0e-05 for a number."""
    mantissa, e, exponent = f"{value:g}".partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else f"{mantissa}{e}{exponent}"


def _value(value: object) -> str:
    return msgspec.json.encode(value).decode()
