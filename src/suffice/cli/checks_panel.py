"""What `suffice doctor` looks at in a configuration: candidates, router, policies, endpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice import build, embedders, providers, routers
from suffice.cli.checks import Finding
from suffice.cli.checks_promise import check_confidence, check_guarantee
from suffice.cli.store import opened
from suffice.cli.strangers import Stranger, strangers
from suffice.config import Config, ModelConfig, PipelineConfig, RouterConfig
from suffice.errors import SufficeError
from suffice.providers.http import HttpClient
from suffice.providers.model_files import model_file
from suffice.providers.pull import KNOWN
from suffice.registry import shown
from suffice.types import Candidate, Options, Query

NEED_KEYS: Final = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together": "TOGETHER_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
}
"""Hosted providers, and the usual variable for each one's key."""
_BLOCK: Final = 1 << 20


def check_models(config: Config) -> Iterator[Finding]:
    """Every candidate: its provider, key, price and file."""
    if not config.models:
        yield Finding(
            name="models", status="fail", detail="no models are configured", remedy="list one under `models:`"
        )
        return
    for entry, candidate in zip(config.models, build.panel(config), strict=True):
        yield _model(config, entry, candidate)


def _model(config: Config, entry: ModelConfig, candidate: Candidate) -> Finding:
    name = f"model {entry.name}"
    if entry.provider not in providers.available() and not entry.provider.rpartition(":")[0].endswith(".py"):
        known = ", ".join(providers.available())
        return Finding(
            name=name,
            status="fail",
            detail=f"no provider is called {entry.provider!r}",
            remedy=f"one of {known}",
        )
    variable = NEED_KEYS.get(entry.provider)
    if variable is not None and not entry.api_key and entry.base_url is None:
        remedy = f"export {variable}=... and write api_key: ${{{variable}}}"
        return Finding(name=name, status="fail", detail=f"{entry.provider} needs an api_key", remedy=remedy)
    if entry.provider == "local":
        problem = _local(config, entry)
        if problem is not None:
            return Finding(name=name, status="fail", detail=problem[0], remedy=problem[1])
    try:
        build.make_models(msgspec.structs.replace(config, models=[entry]), HttpClient())
    except SufficeError as error:
        return Finding(name=name, status="fail", detail=str(error), remedy="see docs/configuration.md")
    if not candidate.price.is_known and entry.provider != "recorded":
        remedy = "give input_usd_per_mtok and output_usd_per_mtok: an unknown price is never taken as 0"
        detail = f"{entry.provider} {candidate.model}: no price is known"
        return Finding(name=name, status="warn", detail=detail, remedy=remedy)
    return Finding(name=name, status="ok", detail=f"{entry.provider} {candidate.model}, {_price(candidate)}")


def _price(candidate: Candidate) -> str:
    price = candidate.price
    if not price.is_known:
        return "costs as recorded"
    if price.usd_per_cpu_hour is not None:
        return f"{price.usd_per_cpu_hour} USD per core hour"
    when = f", as of {price.as_of}" if price.as_of else ""
    return f"{price.input_usd_per_mtok} / {price.output_usd_per_mtok} USD per million tokens{when}"


def _local(config: Config, entry: ModelConfig) -> tuple[str, str] | None:
    """(what is wrong, what to do) with a local model, or None."""
    if find_spec("xllamacpp") is None:
        return "local models need xllamacpp", "pip install 'suffice[local]'"
    given = entry.options.get("path")
    name = entry.model or entry.name
    path = config.path(given) if isinstance(given, str) else model_file(name)
    if not path.is_file():
        remedy = f"suffice pull {name}" if name in KNOWN else "set options.path to a GGUF file"
        return f"no model file at {path}", remedy
    if given is None and name in KNOWN and _digest(path) != KNOWN[name].sha256:
        return f"{path} has another digest than {KNOWN[name].title}", f"remove it, then suffice pull {name}"
    return None


@lru_cache
def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def check_routing(config: Config) -> Iterator[Finding]:
    """Every router loads and knows the panel; every policy can be made."""
    candidates = build.panel(config)
    yield from check_confidence(config, candidates)
    for name, section in (("auto", PipelineConfig()), *config.pipelines.items()):
        chosen, policy = section.router or config.router, section.policy or config.policy
        yield _router(name, chosen, config, candidates)
        yield from _plan(name, section, config, candidates)
        if policy.name == build.GUARANTEE:
            yield from check_guarantee(name, section, config, candidates)
            continue
        try:
            build.check_policy(policy, name, config, candidates)
        except SufficeError as error:
            yield Finding(
                name=f"policy {name}", status="fail", detail=str(error), remedy="see docs/configuration.md"
            )
        else:
            yield Finding(
                name=f"policy {name}",
                status="ok",
                detail=f"{policy.name}: {shown(policy.params)}" if policy.params else policy.name,
            )


def _plan(
    pipeline: str, section: PipelineConfig, config: Config, candidates: Sequence[Candidate]
) -> Iterator[Finding]:
    """Nothing is said of the plan that needs nothing."""
    plan = section.plan or config.plan
    if plan.name == "single":
        return
    name = f"plan {pipeline}"
    try:
        embedder = embedders.create(config.embedder, **config.embedder_params)
        build.make_plan(section, pipeline, config, embedder, candidates)
    except SufficeError as error:
        yield Finding(name=name, status="fail", detail=str(error), remedy="see docs/configuration.md")
    else:
        yield Finding(name=name, status="ok", detail=f"{plan.name}: {shown(plan.params)}")


def _router(pipeline: str, chosen: RouterConfig, config: Config, candidates: Sequence[Candidate]) -> Finding:
    name = f"router {pipeline}"
    remedy = "suffice train knn --data outcomes.parquet --out router"
    try:
        embedder = embedders.create(config.embedder, **config.embedder_params)
        if chosen.path is None:
            routers.untrained(chosen.name, candidates, **chosen.params)
            return Finding(name=name, status="ok", detail=f"{chosen.name}, which needs no training")
        trained = build.load_trained(config.path(chosen.path), embedder, candidates)
    except SufficeError as error:
        return Finding(name=name, status="fail", detail=str(error), remedy=remedy)
    names = [candidate.name for candidate in candidates]
    known = [arm for arm in trained.router.arms if arm in names]
    detail = f"{trained.version} knows {', '.join(trained.router.arms)}"
    if not known:
        return Finding(name=name, status="fail", detail=f"{detail}: none is in the panel", remedy=remedy)
    unscored = [one for one in names if one not in trained.router.arms]
    if unscored:
        return Finding(
            name=name, status="warn", detail=f"{detail}; not scored, so asked last: {', '.join(unscored)}",
            remedy=remedy,
        )  # fmt: skip
    return Finding(name=name, status="ok", detail=detail)


def check_budgets(config: Config) -> Iterator[Finding]:
    """Every budget can be kept for this panel, and the ledger's URL names one; nothing is connected to."""
    from suffice.store import open_ledger

    if not config.budgets and config.ledger is None:
        return
    try:
        build.check_budgets(config.budgets, build.panel(config), ["auto", *config.pipelines])
        open_ledger(config.ledger)
    except SufficeError as error:
        yield Finding(name="budgets", status="fail", detail=str(error), remedy="see docs/budgets.md")
        return
    names = ", ".join(budget.name for budget in config.budgets) or "none but those set at run time"
    yield Finding(name="budgets", status="ok", detail=names)
    for found in _strangers(config):
        yield Finding(name=f"budget {found.budget}", status="warn", detail=found.detail, remedy=found.remedy)


def _strangers(config: Config) -> list[Stranger]:
    """A store that cannot be read is told by its own check."""
    path = Path(config.store.removeprefix("sqlite:///"))
    is_new = config.store.startswith("sqlite:///") and not path.exists()
    try:
        with nullcontext() if is_new else opened(config.store) as store:
            return list(strangers(config.budgets, store))
    except SufficeError:
        return []


def check_endpoints(config: Config) -> Iterator[Finding]:
    """Whether each provider answers and serves the model: its list of models, which costs nothing."""
    from suffice.starter.served import LISTS, served_models

    for entry in config.models:
        name = f"endpoint {entry.name}"
        if entry.base_url is None and entry.provider not in LISTS:
            continue
        model = entry.model or entry.name
        try:
            served = served_models(entry.provider, base_url=entry.base_url, key=entry.api_key)
        except OSError as error:
            yield Finding(
                name=name,
                status="fail",
                detail=str(error),
                remedy="check the key, base_url and network; --call asks it",
            )
            continue
        if model in served:
            yield Finding(name=name, status="ok", detail=f"serves {model}")
        else:
            remedy = f"one of {', '.join(sorted(served)[:8])} ..." if served else "check base_url"
            yield Finding(name=name, status="warn", detail=f"does not list {model}", remedy=remedy)


async def check_calls(config: Config) -> list[Finding]:
    """One token of every candidate: costs a little."""
    from suffice.store import open_store

    try:
        engine = build.build(config, store=open_store("sqlite:///:memory:"))
    except SufficeError as error:
        return [Finding(name="call", status="fail", detail=str(error), remedy="see the message")]
    try:
        return [await _call(name, model) for name, model in engine.models.items()]
    finally:
        await engine.close()


async def _call(name: str, model: Any) -> Finding:
    try:
        answer = await model.answer(Query(text="Say ok."), Options(fields={"max_tokens": 1}, timeout_s=60.0))
    except SufficeError as error:
        return Finding(name=f"call {name}", status="fail", detail=str(error), remedy="see the message")
    return Finding(name=f"call {name}", status="ok", detail=f"answered after {answer.latency_s:.2f} s")
