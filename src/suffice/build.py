"""From a configuration to a running engine: the place where the parts are wired together."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from suffice import embedders, plans, policies, providers, routers
from suffice.budgets import Budget
from suffice.catalogue import Catalogue
from suffice.config import (
    CacheConfig,
    ConfidenceConfig,
    Config,
    ModelConfig,
    PipelineConfig,
    PolicyConfig,
    RouterConfig,
    StickyConfig,
)
from suffice.engine import Engine
from suffice.errors import BudgetExceeded, ConfigError, UnknownName
from suffice.pipeline import Pipeline, strongest
from suffice.plans import Plan
from suffice.plans.guard import Guard, check
from suffice.plans.trials import Trials
from suffice.policies import Utility
from suffice.protocols import CostModel, Embedder, LatencyModel, Model, Policy, Router, Store
from suffice.providers.http import HttpClient
from suffice.routers import costs as costs_file
from suffice.routers import latencies as latencies_file
from suffice.routers.base import BaseRouter
from suffice.routers.llm import LLM
from suffice.routers.ruleset import RuleSet
from suffice.routers.sticky import Sticky
from suffice.store import SqliteStore, open_ledger, open_store
from suffice.types import Candidate, Query, Versions

if TYPE_CHECKING:
    from suffice.plans.confidence import AnswerConfidence
    from suffice.plans.gated import Gated
    from suffice.plans.learning import Learner
    from suffice.plans.reuse.stage import Reusing
    from suffice.plans.shadow import Shadow

GUARANTEE: Final = "guarantee"
"""The policy whose parameters name files: it is made here, not by its registry."""
WARM_UP: Final = Query(text="How many minutes are there in a day?")
KNOWN_TO_THE_CATALOGUE: Final = (
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cached_input_usd_per_mtok",
    "usd_per_cpu_hour",
    "context_window",
    "max_output_tokens",
    "strength",
)


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A router and the cost and latency models that belong to it."""

    router: Router
    costs: CostModel
    latencies: LatencyModel
    mean_quality: Mapping[str, float] = {}
    """By arm, in the training data; empty where there was none."""
    version: str = ""


def build(config: Config, *, store: Store | None = None, trained: Trained | None = None) -> Engine:
    """The engine of a configuration.

    Connects to nothing but the store; the first decision is made here, so that no request pays for it.

    Parameters
    ----------
    store : instead of the configured one
    trained : instead of the router that the configuration names

    Raises
    ------
    ConfigError
        Where the panel, a router or a policy cannot be made; the message says which.
    """
    if not config.models:
        raise ConfigError(
            "no models are configured: list at least one under `models:`, or run `suffice init`"
        )
    catalogue = Catalogue.load()
    http = HttpClient()
    models = make_models(config, http)
    candidates = [model.candidate for model in models.values()]
    shadows: dict[str, Shadow] = {}
    learners: dict[str, Learner] = {}
    pipelines = {
        name: _pipeline(name, section, config, candidates, catalogue.version, trained, shadows, learners)
        for name, section in {"auto": PipelineConfig(), **config.pipelines}.items()
    }
    for pipeline in pipelines.values():
        with contextlib.suppress(BudgetExceeded):  # a small budget is no reason not to serve the others
            pipeline.decide(WARM_UP, 0.0, 1)
    confidence = None if config.confidence is None else make_confidence(config.confidence, config)
    if confidence is not None and confidence.asks:
        models = {name: confidence.asking(model) for name, model in models.items()}
    check_budgets(config.budgets, candidates, pipelines)
    store = store if store is not None else open_store(config.store)
    open_learners(learners, store)
    made = Engine(
        models,
        pipelines,
        store,
        timeout_s=config.gateway.timeout_s,
        retries=config.gateway.retries,
        http=http,
        shadows=shadows,
        confidence=confidence,
        guard=Guard(open_ledger(config.ledger, store), config.budgets, is_strict=config.ledger is not None),
        learners=learners,
        reusing=make_reusing(config, pipelines),
    )
    if isinstance(store, SqliteStore):
        made.trials = Trials(store.experiments(), made.names, store.add_feedback)
    return made


def make_reusing(config: Config, pipelines: Mapping[str, Pipeline]) -> Reusing | None:
    """The caches; None, and nothing of theirs is loaded, where there are none.

    Raises
    ------
    ConfigError, ArtefactError, StoreError
        If one cannot be made, or its file cannot be opened.
    """
    if not config.cache and not any(section.cache for section in config.pipelines.values()):
        return None
    from suffice.plans.reuse.configured import configured

    check_rewriting(config)
    return configured(config, pipelines, lambda: _embedder(config))


def check_rewriting(config: Config) -> None:
    """Raise a ConfigError where a model that rewrites is known to give no log-probabilities.

    Nothing that it writes would ever be given, and each attempt costs.
    """
    sections = [config.cache, *(section.cache for section in config.pipelines.values())]
    writers = {one.rewrite.model for one in sections if isinstance(one, CacheConfig) and one.rewrite}
    if not writers:
        return
    for one in panel(config):
        if one.name in writers and (one.provider == "anthropic" or not one.allows("logprobs")):
            raise ConfigError(
                f"{one.name!r} gives no log-probabilities, so nothing that it rewrites would be given; name "
                "another, or add logprobs to its `capabilities` if it does give them",
                key="cache.rewrite.model",
            )


def open_learners(learners: Mapping[str, Learner], store: Store) -> None:
    """Have policies take up what they learnt before.

    Raises
    ------
    ConfigError, ArtefactError, StoreError
        If the store keeps no log to learn from, or a kept state does not fit.
    """
    for name, learner in learners.items():
        if not isinstance(store, SqliteStore):
            raise ConfigError(f"the policy of pipeline {name!r} learns from records in SQLite only")
        learner.open(store.learning())


def check_budgets(
    budgets: Sequence[Budget], candidates: Sequence[Candidate], pipelines: Collection[str]
) -> None:
    """Raise a ConfigError where a budget could not be kept, shares its name, or degrades to no pipeline."""
    names = [budget.name for budget in budgets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two budgets have the name {twice[0]!r}; each needs its own", key="budgets")
    for budget in budgets:
        check(budget, candidates)
        if budget.every is None and budget.zone != "UTC":
            raise ConfigError(
                f"the budget {budget.name!r}: the zone {budget.zone} does nothing without `every`",
                key="budgets",
            )
        way = budget.degrades_to
        name = None if way is None or not way.startswith("auto:") else way.removeprefix("auto:")
        if name is not None and name not in pipelines:
            raise ConfigError(
                f"the budget {budget.name!r} degrades to {way!r}, which is no pipeline; known: "
                f"{', '.join(pipelines)}",
                key="budgets",
            )


def make_models(config: Config, http: HttpClient) -> dict[str, Model]:
    """Every model of a configuration by name; connects to nothing."""
    catalogue = Catalogue.load()
    return {entry.name: _model(entry, catalogue, config, http) for entry in config.models}


def panel(config: Config) -> list[Candidate]:
    """The candidates of a configuration, with what the catalogue knows of them."""
    catalogue = Catalogue.load()
    return [_candidate(entry, catalogue) for entry in config.models]


def load_trained(directory: Path, embedder: Embedder, candidates: Sequence[Candidate]) -> Trained:
    """What `suffice train --out` wrote, priced with the panel's prices.

    A router that was saved alone, from Python, comes with costs by list price and a usual length of answers.

    Raises
    ------
    ArtefactError
        If it is missing, damaged, or trained with another embedder.
    """
    manifest = routers.read_manifest(directory)
    prices = {candidate.name: candidate.price for candidate in candidates}
    router = routers.load(directory, embedder)
    costs: CostModel
    if any((directory / name).exists() for name in (costs_file.FILE, latencies_file.FILE)):
        costs = routers.load_cost_model(directory, prices)
        latencies = routers.load_latency_model(directory)
    else:
        costs = routers.prior_cost_model(router.arms, prices)
        latencies = routers.prior_latency_model(router.arms)
    return Trained(
        router=router,
        costs=costs,
        latencies=latencies,
        mean_quality=manifest.mean_quality,
        version=manifest.version,
    )


def untrained(name: str, candidates: Sequence[Candidate], **params: Any) -> Trained:
    """A router that needs no training, with costs by list price and a usual length of answers."""
    prices = {candidate.name: candidate.price for candidate in candidates}
    names = tuple(prices)
    return Trained(
        router=routers.untrained(name, candidates, **params),
        costs=routers.prior_cost_model(names, prices),
        latencies=routers.prior_latency_model(names),
        version=f"{name} (untrained)",
    )


def _candidate(entry: ModelConfig, catalogue: Catalogue) -> Candidate:
    given = {name: getattr(entry, name) for name in KNOWN_TO_THE_CATALOGUE}
    if entry.capabilities is not None:
        given["capabilities"] = frozenset(entry.capabilities)
    return catalogue.candidate(entry.name, entry.provider, entry.model or entry.name, **given)


def _model(entry: ModelConfig, catalogue: Catalogue, config: Config, http: HttpClient) -> Model:
    settings = entry.settings()
    paths = {name: settings.extra.get(name) for name in ("path", "adapter")}
    if found := {name: str(config.path(one)) for name, one in paths.items() if isinstance(one, str)}:
        settings = msgspec.structs.replace(settings, extra={**settings.extra, **found})
    model: Model = providers.get(entry.provider).from_config(_candidate(entry, catalogue), settings, http)
    return model


def _embedder(config: Config) -> Embedder:
    """Remote vectors are worth keeping, and may fail; the default ones are neither dear nor fallible."""
    made = embedders.create(config.embedder, **config.embedder_params)
    if config.embedder == "hashed":
        return made
    return embedders.FallbackEmbedder(embedders.CachedEmbedder(made))


def _pipeline(
    name: str,
    section: PipelineConfig,
    config: Config,
    candidates: Sequence[Candidate],
    prices: str,
    given: Trained | None,
    shadows: dict[str, Shadow],
    learners: dict[str, Learner],
) -> Pipeline:
    chosen = section.router or config.router
    embedder = _embedder(config)
    trained = given if given is not None else trained_for(chosen, config, candidates, embedder)
    policy = section.policy or config.policy
    sticky = section.sticky or config.sticky
    router = trained.router
    if policy.name == GUARANTEE:
        shadows[name] = make_guarantee(policy, name, config, trained, sticky=sticky)
    if sticky is not None and isinstance(router, BaseRouter):
        router = Sticky.around(router, **msgspec.to_builtins(sticky))
    learns = policy.name in _bandits(policy.name)
    plan = make_plan(section, name, config, embedder, candidates)
    pipeline = Pipeline(
        name=name,
        candidates=candidates,
        router=router,
        policy=shadows[name].policy
        if name in shadows
        else _policy(policy, name)
        if not learns
        else Utility(),
        costs=trained.costs,
        latencies=trained.latencies,
        strongest=strongest(candidates, trained.mean_quality),
        router_name=chosen.name,
        versions=Versions(
            router=trained.version, policy=_shown(policy), embedder=embedder.name, prices=prices
        ),
        rules=RuleSet(config.rules if section.rules is None else section.rules),
        is_slow=config.embedder != "hashed" or isinstance(trained.router, LLM),
        plan=plan,
        gate=make_gate(section, name, config, embedder, candidates, plan),
    )
    if not learns:
        return pipeline
    learners[name] = make_learner(policy, pipeline, config, candidates, embedder)
    return pipeline.with_policy(learners[name].policy, pipeline.versions.policy)


def _bandits(policy: str) -> Collection[str]:
    """Names of policies that learn; they are not loaded for one that is another's."""
    if policy in policies.available():
        return ()
    from suffice import bandits

    return bandits.available()


def make_learner(
    policy: PolicyConfig,
    pipeline: Pipeline,
    config: Config,
    candidates: Sequence[Candidate],
    embedder: Embedder,
) -> Learner:
    """The bandit of a pipeline as its policy, to be opened on a store.

    Raises
    ------
    ConfigError
        If a parameter is wrong, or the pipeline's plan asks more than one candidate.
    """
    from suffice.plans.learning import configured

    try:
        _check_learns(pipeline.plan.name)
        return configured(
            policy.name,
            policy.params,
            config.path,
            pipeline=pipeline.name,
            arms=pipeline.arms,
            candidates=candidates,
            embedder=embedder,
        )
    except ConfigError as error:
        raise ConfigError(f"the policy of pipeline {pipeline.name!r}: {error}") from error


def trained_for(
    chosen: RouterConfig, config: Config, candidates: Sequence[Candidate], embedder: Embedder
) -> Trained:
    """The router of a section, with the models that belong to it.

    Raises
    ------
    ArtefactError, ConfigError
        If it cannot be loaded or made.
    """
    judge = _judge(chosen, config)
    if chosen.path is None:
        params = chosen.params if judge is None else {**chosen.params, "model": judge}
        return untrained(chosen.name, candidates, **params)
    trained = load_trained(config.path(chosen.path), embedder, candidates)
    if judge is not None and isinstance(trained.router, LLM):
        trained.router.model = judge
    name = trained.version.partition("@")[0]
    if chosen.name not in (name, "trained"):
        raise ConfigError(
            f"{config.path(chosen.path)} holds a {name!r} router, the configuration names {chosen.name!r}: "
            f"write `router: {{name: {name}, path: {chosen.path}}}`"
        )
    return trained


def _judge(chosen: RouterConfig, config: Config) -> Model | None:
    """The candidate that the router `llm` asks, over connections of its own: it lives on another thread."""
    if chosen.name != "llm":
        return None
    wanted = chosen.params.get("model")
    entries = {entry.name: entry for entry in config.models}
    if wanted not in entries:
        raise ConfigError(
            f"the router 'llm' asks a candidate: write `params: {{model: NAME}}` with one of "
            f"{', '.join(entries)}, not {wanted!r}"
        )
    return _model(entries[wanted], Catalogue.load(), config, HttpClient())


def check_policy(
    policy: PolicyConfig, pipeline: str, config: Config, candidates: Sequence[Candidate]
) -> None:
    """Whether a policy other than `guarantee` can be made, and opened; nothing is written.

    Raises
    ------
    ConfigError, ArtefactError
        If not.
    """
    if policy.name not in _bandits(policy.name):
        _policy(policy, pipeline)
        return
    from suffice.plans.learning import configured

    section = config.pipelines.get(pipeline, PipelineConfig())
    _check_learns((section.plan or config.plan).name)
    arms = [candidate.name for candidate in candidates]
    learner = configured(
        policy.name,
        policy.params,
        config.path,
        pipeline=pipeline,
        arms=arms,
        candidates=candidates,
        embedder=_embedder(config),
    )
    learner.check()


def _check_learns(plan: str) -> None:
    if plan != "single":
        raise ConfigError(f"it learns who answers well alone: leave out the plan {plan!r}")


def _policy(config: PolicyConfig, pipeline: str) -> Policy:
    known = (*policies.available(), *_bandits(config.name))
    if config.name not in known and ".py:" not in config.name:
        raise UnknownName("policy", config.name, known)
    try:
        return policies.create(config.name, **config.params)
    except ConfigError as error:
        raise ConfigError(f"the policy of pipeline {pipeline!r}: {error}") from error


def make_plan(
    section: PipelineConfig,
    pipeline: str,
    config: Config,
    embedder: Embedder,
    candidates: Sequence[Candidate],
) -> Plan:
    """The plan of a pipeline, with the files that it names read.

    Raises
    ------
    ConfigError, ArtefactError
        If there is none such, it cannot work with this panel or policy, or a file is damaged.
    """
    plan, policy = section.plan or config.plan, section.policy or config.policy
    try:
        made = plans.create(plan.name, **plan.params)
        if hasattr(made, "prepare"):
            made.prepare(path=config.path, embedder=embedder, panel=candidates)
        if policy.name == GUARANTEE and plan.name != "single":
            raise ConfigError(f"the promise of `guarantee` is about single answers: leave out {plan.name!r}")
    except ConfigError as error:
        raise ConfigError(f"the plan of pipeline {pipeline!r}: {error}") from error
    return made


def make_gate(
    section: PipelineConfig,
    pipeline: str,
    config: Config,
    embedder: Embedder,
    candidates: Sequence[Candidate],
    plan: Plan,
) -> Gated | None:
    """The gate of a pipeline around its plan, with its corpus open; None where there is none.

    Raises
    ------
    ConfigError, ArtefactError
        If there is none such, a file is missing or damaged, or the policy needs answers without look-ups.
    """
    gate, policy = section.gate or config.gate, section.policy or config.policy
    if gate is None:
        return None
    from suffice.plans.gates import made

    try:
        if policy.name == GUARANTEE or policy.name in _bandits(policy.name):
            raise ConfigError(f"the policy {policy.name!r} is about answers without look-ups: leave one out")
        return made(gate, plan, path=config.path, embedder=embedder, panel=candidates)
    except ConfigError as error:
        raise ConfigError(f"the gate of pipeline {pipeline!r}: {error}") from error


def make_guarantee(
    policy: PolicyConfig, pipeline: str, config: Config, trained: Trained, *, sticky: StickyConfig | None
) -> Shadow:
    """The policy `guarantee` of a pipeline, with its certificate read and what its monitor found.

    Raises
    ------
    ConfigError, ArtefactError
        If it does not belong to this router and panel, or a file is damaged.
    """
    from suffice.plans.shadow import configured

    try:
        if sticky is not None:
            raise ConfigError(
                "`sticky` changes scores, and the promise is about scores as they are: leave it out"
            )
        names = [model.name for model in config.models]
        return configured(
            policy.params, config.path, router=trained.version, arms=trained.router.arms, panel=names
        )
    except ConfigError as error:
        raise ConfigError(f"the policy of pipeline {pipeline!r}: {error}") from error


def make_confidence(section: ConfidenceConfig, config: Config) -> AnswerConfidence:
    """The signal and its calibrator.

    Raises
    ------
    ConfigError, ArtefactError
        If there is no such signal or file, or it holds no calibrator.
    """
    from suffice.plans.confidence import AnswerConfidence

    path = None if section.calibrator is None else config.path(section.calibrator)
    return AnswerConfidence.read(section.signal, path, asks=section.ask)


def _shown(config: PolicyConfig) -> str:
    params = ", ".join(f"{name}={value}" for name, value in config.params.items())
    return f"{config.name}({params})"
