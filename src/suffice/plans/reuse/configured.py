"""The caches of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from suffice.caching.eligible import Allowed
from suffice.caching.semantic import SemanticCache
from suffice.config import CacheConfig, Config, ModelConfig, RewriteConfig, SemanticConfig
from suffice.errors import ConfigError
from suffice.pipeline import Pipeline
from suffice.plans.confidence import AnswerConfidence
from suffice.plans.reuse.rewriting import Rewriting
from suffice.plans.reuse.stage import Reusing, Scope, Settings, Stage
from suffice.protocols import Embedder
from suffice.store.cache_log import CacheLog
from suffice.store.cache_sqlite import SqliteCache
from suffice.store.connection import MEMORY

_SQLITE = "sqlite:///"


def configured(
    config: Config, pipelines: Mapping[str, Pipeline], embedder: Callable[[], Embedder]
) -> Reusing | None:
    """The stages of a configuration; None where it has none.

    Parameters
    ----------
    pipelines : by name, the default one as "auto"
    embedder : makes one, where a cache needs it

    Raises
    ------
    ConfigError, ArtefactError, StoreError
        If one cannot be made, or its file cannot be opened.
    """
    sections: dict[str, CacheConfig | bool | None] = {"": config.cache}
    sections |= {name: one.cache for name, one in config.pipelines.items() if one.cache is not None}
    settled = {name: _section(given) for name, given in sections.items()}
    if not any(settled.values()):
        return None
    url = next((one.store for one in settled.values() if one is not None and one.store is not None), None)
    url = url or memory_url(config)
    log = None if url is None else open_cache(url)
    stages: dict[str, Stage] = {}
    default = None
    for name, section in settled.items():
        own = _names(name, sections, pipelines, config.models)
        if section is None:
            continue
        scopes = _scopes(config, pipelines, section)
        made = _stage(name, section, {one: scopes[one] for one in own}, config, embedder, log)
        stages |= dict.fromkeys(own, made)
        default = made if not name else default
    return Reusing(stages, default=default, log=log)


def memory_url(config: Config) -> str | None:
    """Where caches in memory hear what they shall forget; None: nowhere.

    The file stands beside the store of records and holds no answer.
    """
    path = config.store.removeprefix(_SQLITE)
    return None if path in (config.store, MEMORY) else f"{config.store}.forgotten"


def open_cache(url: str, *, mends: bool = True) -> CacheLog:
    """Where kept answers outlive the process.

    Parameters
    ----------
    mends : whether a damaged file is moved aside and begun anew

    Raises
    ------
    ConfigError
        If the URL names nothing of the kind.
    MissingDependency
        Without the extra [postgres].
    StoreError
        If it cannot be opened.
    """
    if url.startswith(_SQLITE):
        return SqliteCache(url.removeprefix(_SQLITE), mends=mends)
    if url.startswith(("postgresql:", "postgres:")):
        from suffice.store.cache_postgres import PostgresCache

        return PostgresCache(url)
    raise ConfigError(
        "the cache's store is sqlite:///cache.db or postgresql://...; left out, it is in memory",
        key="cache.store",
    )


def _section(given: CacheConfig | bool | None) -> CacheConfig | None:
    if isinstance(given, CacheConfig):
        return given
    return CacheConfig() if given else None


def _names(
    section: str,
    sections: Mapping[str, Any],
    pipelines: Mapping[str, Pipeline],
    models: Sequence[ModelConfig],
) -> list[str]:
    """What `model` may be in a request of this section; the top one has all that are in no other."""
    if section:
        return [_asked_for(section)]
    others = [_asked_for(name) for name in pipelines if name not in sections]
    return [*others, *(model.name for model in models)]


def _asked_for(pipeline: str) -> str:
    return "auto" if pipeline == "auto" else f"auto:{pipeline}"


def _scopes(config: Config, pipelines: Mapping[str, Pipeline], section: CacheConfig) -> dict[str, Scope]:
    """Answers are kept apart by all that decides who answers, what candidates are told and what is kept."""
    allowed = (section.personal, section.time_bound, section.tools, section.max_temperature)
    found = {
        model.name: Scope(words=(model.name, _digest((_identity(model), allowed)))) for model in config.models
    }
    panel = [_identity(model) for model in config.models]
    for name, pipeline in pipelines.items():
        own = config.pipelines.get(name)
        rules = config.rules if own is None or own.rules is None else own.rules
        plan = config.plan if own is None or own.plan is None else own.plan
        asked_for = _asked_for(name)
        versions = pipeline.versions
        gate = config.gate if own is None or own.gate is None else own.gate
        about = (panel, allowed, gate, versions.router, versions.policy, plan, rules)
        found[asked_for] = Scope(
            words=(asked_for, _digest(about)), baseline=pipeline.baseline, has_rules=bool(rules)
        )
    return found


def _identity(model: ModelConfig) -> tuple[Any, ...]:
    return (model.name, model.provider, model.model, model.base_url, model.options)


def _digest(value: Any) -> str:
    return blake2b(msgspec.json.encode(value, order="sorted"), digest_size=8).hexdigest()


def _stage(
    name: str,
    section: CacheConfig,
    scopes: Mapping[str, Scope],
    config: Config,
    embedder: Callable[[], Embedder],
    log: CacheLog | None,
) -> Stage:
    settings = Settings(
        ttl_s=section.ttl_s,
        entries=section.entries,
        allowed=Allowed(
            personal=section.personal,
            time_bound=section.time_bound,
            tools=section.tools,
            max_temperature=section.max_temperature,
        ),
        per_user=section.per_user,
        is_exact=section.exact,
        is_semantic=bool(section.semantic),
        tags=tuple(section.tags),
    )
    semantic, made = None, None
    if section.semantic or section.rewrite is not None:
        made = embedder()
        asked_for = section.semantic if isinstance(section.semantic, SemanticConfig) else SemanticConfig()
        semantic = SemanticCache(
            made.name,
            made.dimensions,
            entries=section.entries,
            threshold=asked_for.threshold,
            near=None if section.rewrite is None else asked_for.near,
        )
    return Stage(
        name,
        scopes,
        settings,
        semantic=semantic,
        embedder=made,
        is_slow=config.embedder != "hashed",
        rewriting=None if section.rewrite is None else _rewriting(section.rewrite, config),
        log=log if section.store is not None else None,
    )


def _rewriting(section: RewriteConfig, config: Config) -> Rewriting:
    path = None if section.calibrator is None else config.path(section.calibrator)
    return Rewriting(
        section.model,
        AnswerConfidence.read(section.signal, path),
        min_confidence=section.min_confidence,
        max_tokens=section.max_tokens,
        timeout_s=section.timeout_s,
    )
