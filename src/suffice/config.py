"""`suffice.yaml` to values: the only module that reads settings and the environment.

Unknown keys and wrong types are errors that name file, line and key. `${NAME}` and `${NAME:-default}` in
a string are taken from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from suffice import _yaml, plans, policies
from suffice.budgets import Budget
from suffice.catalogue.rows import CAPABILITIES
from suffice.errors import ConfigError, SufficeError, UnknownName
from suffice.providers.base import ProviderSettings, Secret
from suffice.routers.ruleset import Condition, Rule
from suffice.types import Price

DEFAULT_FILE = "suffice.yaml"
STUDENTS = "students.yaml"
"""What `suffice distill promote` writes beside it, and has it include."""

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: a misspelt key is an error."""


class ModelConfig(_Strict, frozen=True, kw_only=True):
    """One candidate of the panel."""

    name: str
    provider: str
    model: str = ""
    """The provider's id; the name where it is left out."""
    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    """Sent upstream with every call."""
    timeout_s: Seconds = 120.0
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    usd_per_cpu_hour: float | None = None
    """For local models: what an hour of one core costs you."""
    context_window: Count | None = None
    max_output_tokens: Count | None = None
    capabilities: list[str] | None = None
    """Of tools, vision, json, logprobs, streaming."""
    strength: Share | None = None
    """How good it is, in [0, 1], by your own judgement; used where no data speak."""
    may_train_on_output: bool | None = None
    """Whether its terms let another model be trained on its answers; unset: `suffice distill` refuses."""
    options: dict[str, Any] = {}
    """What only this provider knows: path and threads of a local model, api_version of Azure, ..."""

    def settings(self) -> ProviderSettings:
        return ProviderSettings(
            base_url=self.base_url,
            api_key=Secret(self.api_key) if self.api_key else None,
            timeout_s=self.timeout_s,
            headers=self.headers,
            extra=self.options,
        )

    def price_overrides(self) -> Price | None:
        """The prices given here, exactly as written; None where none are."""
        given: dict[str, Any] = {
            name: Decimal(repr(value)) for name in _PRICE_KEYS if (value := getattr(self, name)) is not None
        }
        return Price(**given, source="suffice.yaml") if given else None


_PRICE_KEYS = (
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cached_input_usd_per_mtok",
    "usd_per_cpu_hour",
)


class RouterConfig(_Strict, frozen=True, kw_only=True):
    """Which router scores the candidates."""

    name: str = "builtin"
    path: str | None = None
    """The directory that `suffice train --out` wrote; relative to the configuration file."""
    params: dict[str, Any] = {}


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Which policy decides, and its parameters beside the name."""

    name: str = "utility"
    params: dict[str, Any] = {}


class PlanConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates are asked, and the plan's parameters beside its name."""

    name: str = "single"
    params: dict[str, Any] = {}


class StickyConfig(_Strict, frozen=True, kw_only=True):
    """A conversation stays with the candidate that answers it, unless another is clearly better."""

    margin: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """Quality that another must be ahead by."""
    ttl_s: Seconds = 3600.0
    """A conversation that rested longer starts anew."""
    max_sessions: Count = 100_000


class SemanticConfig(_Strict, frozen=True, kw_only=True):
    """Which other requests a kept answer serves as well."""

    threshold: Annotated[float, Meta(gt=0, le=1)] | None = None
    """On the probability that an answer serves; None: what the judgement promises its precision at."""
    near: Share = 0.6
    """From this cosine on an answer that is not given is near, and may be rewritten."""


class RewriteConfig(_Strict, frozen=True, kw_only=True):
    """A small model makes a near answer into one to the new question."""

    model: str
    """A candidate that gives log-probabilities."""
    min_confidence: Share = 0.8
    """What is less sure is not given."""
    signal: str = "normalised_probability"
    calibrator: str | None = None
    """The file that `suffice calibrate --out` wrote; relative to the configuration file."""
    max_tokens: Count = 512
    """A longer answer is not given."""
    timeout_s: Seconds = 30.0


class CacheConfig(_Strict, frozen=True, kw_only=True):
    """Answers are given again."""

    exact: bool = True
    """To the same request."""
    semantic: SemanticConfig | bool = False
    """To another request that they serve as well."""
    rewrite: RewriteConfig | None = None
    """Near answers, to be made into fitting ones; looks for them whatever `semantic` says."""
    ttl_s: Seconds = 3600.0
    entries: Count = 10_000
    personal: bool = False
    """Also requests that speak of what belongs to the one who asks."""
    time_bound: bool = False
    """Also requests whose answer changes with the day."""
    tools: bool = False
    """Also requests that offer tools."""
    max_temperature: Annotated[float, Meta(ge=0)] = 1.0
    """Hotter requests want another answer each time."""
    per_user: bool = False
    """Each user of a tenant (the request's `user`) has answers of their own."""
    tags: list[str] = []
    """What all answers may be forgotten by."""
    store: str | None = None
    """`sqlite:///cache.db` outlives the process and is shared by workers, `postgresql://...` by machines;
    None: in memory."""


class GateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When to look things up, and how; a gate's own parameters stand beside these."""

    name: str = "always"
    path: str | None = None
    """The directory that `suffice gate train --out` wrote; its gate is taken in place of `name`."""
    corpus: str = "corpus.db"
    """What `suffice corpus add` wrote; relative to the configuration file."""
    single: PlanConfig = PlanConfig(name="retrieve")
    """How one look-up is made."""
    multi: PlanConfig = PlanConfig(name="ircot")
    """How several are."""
    params: dict[str, Any] = {}


class PipelineConfig(_Strict, frozen=True, kw_only=True):
    """One way to answer `auto`; what is left out is taken from the top level."""

    router: RouterConfig | None = None
    policy: PolicyConfig | None = None
    plan: PlanConfig | None = None
    rules: list[Rule] | None = None
    sticky: StickyConfig | None = None
    cache: CacheConfig | bool | None = None
    gate: GateConfig | None = None


class ConfidenceConfig(_Strict, frozen=True, kw_only=True):
    """How sure an answer is, read from its tokens' log-probabilities."""

    signal: str = "normalised_probability"
    calibrator: str | None = None
    """The file that `suffice calibrate --out` wrote; relative to the configuration file."""
    ask: bool = True
    """Ask candidates for log-probabilities, and keep them from clients that did not ask."""


class GatewayConfig(_Strict, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    auth: bool | None = None
    """Demand a key; None: on, unless bound to loopback and no key was ever made."""
    keep_content: bool = False
    """Store queries and answers of keyless (loopback) callers."""
    max_body_bytes: Count = 20_000_000
    timeout_s: Seconds = 300.0
    """For one request, all retries and fallbacks included."""
    retries: Annotated[int, Meta(ge=0)] = 1
    """Further tries at one candidate before the next is asked."""


class Config(_Strict, frozen=True, kw_only=True):
    """A whole `suffice.yaml`."""

    models: list[ModelConfig] = []
    router: RouterConfig = RouterConfig()
    policy: PolicyConfig = PolicyConfig()
    plan: PlanConfig = PlanConfig()
    rules: list[Rule] = []
    """Hard constraints, before anything is predicted."""
    sticky: StickyConfig | None = None
    cache: CacheConfig | bool = False
    """Answers are given again; `true` those to the same request."""
    gate: GateConfig | None = None
    """Decides for every request whether things are looked up."""
    embedder: str = "hashed"
    embedder_params: dict[str, Any] = {}
    pipelines: dict[str, PipelineConfig] = {}
    """Asked for as `auto:NAME`."""
    confidence: ConfidenceConfig | None = None
    store: str = "sqlite:///suffice.db"
    budgets: list[Budget] = []
    """What may be spent, by whom, and when it begins anew."""
    ledger: str | None = None
    """Where budgets are kept; None: in the store. For several machines `postgresql://...` or `redis://...`."""
    gateway: GatewayConfig = GatewayConfig()
    include: list[str] = []
    """Files whose models, rules and pipelines stand beside those here; relative to this file, as their own
    paths are."""
    directory: str = "."
    """Where relative paths start: the file's own directory; set by `load`."""

    def path(self, relative: str) -> Path:
        return Path(self.directory) / Path(relative).expanduser()


class Included(_Strict, frozen=True, kw_only=True):
    """What a file named under `include` may hold."""

    models: list[ModelConfig] = []
    rules: list[Rule] = []
    pipelines: dict[str, PipelineConfig] = {}


def load(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration file.

    Parameters
    ----------
    path : None takes `suffice.yaml` of the working directory
    environ : where `${NAME}` is looked up; the process's environment by default

    Raises
    ------
    ConfigError
        If there is no such file, or with file, line and key where something in it is wrong.
    """
    file = Path(path or DEFAULT_FILE)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {file}; `suffice init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from None
    return parse(text, file=file, environ=os.environ if environ is None else environ)


def parse(text: str, *, file: Path, environ: Mapping[str, str]) -> Config:
    """As `load`, from text."""
    plain, lines = _yaml.read(text, file)
    if plain is None:
        plain = {}
    if not isinstance(plain, dict):
        raise ConfigError(f"wanted keys such as `models:`, found {type(plain).__name__}", file=str(file))
    if not all(isinstance(key, str) for key in plain):
        raise ConfigError("the keys must be words", file=str(file), line=1)
    if "directory" in plain:
        raise ConfigError("unknown key", file=str(file), line=lines.get("$.directory"), key="directory")
    written = plain
    plain = _expand(plain, "$", environ, lines, file)
    _gather_params(plain)
    _include(plain, file, environ, lines)
    try:
        config = msgspec.convert(plain, Config, strict=True)
    except msgspec.ValidationError as error:
        raise _located(error, lines, file, written) from None
    _check(config, lines, file)
    return msgspec.structs.replace(config, directory=str(file.parent))


def _include(plain: dict[str, Any], file: Path, environ: Mapping[str, str], lines: Mapping[str, int]) -> None:
    """Add what the files under `include` hold; each is checked by itself, so that errors name its lines."""
    names = plain.get("include")
    for place, name in enumerate(names if isinstance(names, list) else ()):
        if not isinstance(name, str):
            return  # the conversion says what is wrong
        other = file.parent / Path(name).expanduser()
        try:
            text = other.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read {other}: {_why_unread(error, other)}",
                file=str(file), line=lines.get(f"$.include[{place}]"), key="include",
            ) from None  # fmt: skip
        part, its_lines = _yaml.read(text, other)
        as_written = part
        part = {} if part is None else _expand(part, "$", environ, its_lines, other)
        if isinstance(part, dict):
            _gather_params(part)
        try:
            msgspec.convert(part, Included, strict=True)
        except msgspec.ValidationError as error:
            raise _located(error, its_lines, other, as_written) from None
        for key in ("models", "rules"):
            if part.get(key):
                plain[key] = [*(plain.get(key) or ()), *part[key]]
        known = plain.get("pipelines") or {}
        for one in part.get("pipelines", {}):
            if one in known:
                raise ConfigError(
                    f"the pipeline {one!r} stands in {file} too", file=str(other), key="pipelines"
                )
        if part.get("pipelines"):
            plain["pipelines"] = {**known, **part["pipelines"]}


def _why_unread(error: Exception, file: Path) -> str:
    """Why an included file cannot be read, and what to do."""
    if not isinstance(error, FileNotFoundError):
        return str(error)
    writes = "`suffice distill promote --gate-only` writes it again" if file.name == STUDENTS else "write it"
    return f"there is no such file; {writes}, or take it out of `include`"


def schema() -> dict[str, Any]:
    """JSON Schema of `suffice.yaml`, as people write it, for editors."""
    made = msgspec.json.schema(Config)
    sections = made["$defs"]
    del sections["Config"]["properties"]["directory"]  # set by `load`
    for name in ("PolicyConfig", "PlanConfig", "GateConfig"):
        del sections[name]["properties"]["params"]  # written flat, beside the name
        sections[name]["additionalProperties"] = True
    return made


def _gather_params(plain: dict[str, Any]) -> None:
    """`{name: utility, value_usd: 0.02}` -> name and params, of policies and plans, here and in pipelines."""
    sections = [plain]
    pipelines = plain.get("pipelines")
    if isinstance(pipelines, dict):
        sections += [section for section in pipelines.values() if isinstance(section, dict)]
    for section in sections:
        for part, default in (("policy", "utility"), ("plan", "single")):
            found = section.get(part)
            if isinstance(found, dict):
                params = {key: value for key, value in found.items() if key != "name"}
                section[part] = {"name": found.get("name", default), "params": params}
        if isinstance(section.get("gate"), dict):
            section["gate"] = _gathered_gate(section["gate"])


def _gathered_gate(found: dict[str, Any]) -> dict[str, Any]:
    """The gate's own parameters, and those of its plans, which share its corpus."""
    own = set(GateConfig.__struct_fields__) - {"params"}
    gate = {key: value for key, value in found.items() if key in own}
    for part, default in (("single", "retrieve"), ("multi", "ircot")):
        plan = gate.get(part, {})
        if isinstance(plan, dict):
            name, params = plan.get("name", default), {key: plan[key] for key in plan if key != "name"}
            if isinstance(corpus := gate.get("corpus", "corpus.db"), str) and _takes_corpus(name):
                params.setdefault("corpus", corpus)
            gate[part] = {"name": name, "params": params}
    return gate | {"params": {key: value for key, value in found.items() if key not in own}}


def _takes_corpus(plan: Any) -> bool:
    """Whether a plan looks things up; True where there is no such plan, which is said later."""
    try:
        taken = signature(plans.get(plan)).parameters
    except (SufficeError, TypeError, AttributeError):
        return True
    return "corpus" in taken or any(one.kind is one.VAR_KEYWORD for one in taken.values())


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expanded(plain: Any, environ: Mapping[str, str], lines: Mapping[str, int], file: Path) -> Any:
    """Values with every `${NAME}` filled in.

    Raises
    ------
    ConfigError
        Where a variable is not set.
    """
    return _expand(plain, "$", environ, lines, file)


def _expand(value: Any, path: str, environ: Mapping[str, str], lines: Mapping[str, int], file: Path) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, f"{path}.{k}", environ, lines, file) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, f"{path}[{i}]", environ, lines, file) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found: str | None = environ.get(name, default)
        if found is None:
            key = path.removeprefix("$.")
            raise ConfigError(
                f"the environment variable {name} is not set: export {name}=... or write "
                f"${{{name}:-default}}",
                file=str(file),
                line=lines.get(path),
                key=key,
            )
        return found

    return _VARIABLE.sub(replace, value)


_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def _located(error: msgspec.ValidationError, lines: Mapping[str, int], file: Path, plain: Any) -> ConfigError:
    sections: tuple[type[msgspec.Struct], ...] = (*_Strict.__subclasses__(), Rule, Condition, Budget)
    return located(error, lines, file, sections, "`suffice init --schema` lists those there are", plain)


def located(
    error: msgspec.ValidationError,
    lines: Mapping[str, int],
    file: Path,
    sections: Sequence[type[msgspec.Struct]],
    remedy: str = "",
    plain: Any = None,
) -> ConfigError:
    """A failed conversion with its line and key.

    Parameters
    ----------
    sections : whose fields are the keys there are
    remedy : what to do about an unknown key; empty: its section's keys are listed
    plain : what was converted, for the value that is wrong; as written, without what the environment holds
    """
    match = _AT.match(str(error))
    assert match is not None
    what, path = match.group("what"), match.group("path") or "$"
    if unknown := _UNKNOWN.search(what):
        path, what = f"{path}.{unknown.group(1)}", _unknown_key(unknown.group(1), sections, remedy)
    path = _spelled_out(path, lines)
    what = _yaml.explained(what, path, plain, _choices(what, path, sections))
    return ConfigError(what, file=str(file), line=lines.get(path), key=path.removeprefix("$").lstrip("."))


def _unknown_key(name: str, sections: Sequence[type[msgspec.Struct]], remedy: str) -> str:
    known = {key for section in sections for key in section.__struct_fields__}
    near = get_close_matches(name, sorted(known), 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"unknown key{meant}; {remedy or 'known: ' + ', '.join(sorted(known))}"


def _choices(what: str, path: str, sections: Sequence[type[msgspec.Struct]]) -> list[str]:
    """Of a key that may be one of a few words."""
    if not what.startswith("Invalid enum value"):
        return []
    hints = [get_type_hints(section).get(path.rpartition(".")[2]) for section in sections]
    return list(
        dict.fromkeys(word for hint in hints if get_origin(hint) is Literal for word in get_args(hint))
    )


def _spelled_out(path: str, lines: Mapping[str, int]) -> str:
    """msgspec writes `[...]` for the keys of a mapping; the first place that fits."""
    pattern = re.escape(path).replace(re.escape("[...]"), r"\.[^.]+")
    return next((place for place in lines if re.fullmatch(pattern, place)), path)


def _check_plans(config: Config, lines: Mapping[str, int], file: Path) -> None:
    """A plan that there is, with parameters that it takes."""
    sections = {"plan": config.plan}
    sections |= {f"pipelines.{name}.plan": one.plan for name, one in config.pipelines.items() if one.plan}
    for at, gate in _gates(config):
        sections |= {f"{at}.single": gate.single, f"{at}.multi": gate.multi}
    for at, plan in sections.items():
        if plan == PlanConfig():
            continue
        try:
            if at.endswith((".single", ".multi")) and not _takes_corpus(plan.name):
                raise ConfigError(f"the plan {plan.name!r} looks nothing up; `plan:` is the place for it")
            made: Any = plans.create(plan.name, **plan.params)
            if _takes_corpus(plan.name) and isinstance(name := getattr(made, "retriever", None), str):
                _check_retriever(name)
        except (ConfigError, UnknownName) as error:
            raise _at(error, at, plan.params, lines, file) from None


def _check_retriever(name: str) -> None:
    from suffice import retrieval

    if not name.rpartition(":")[0].endswith(".py"):
        retrieval.get(name)


def _at(
    error: SufficeError, at: str, params: Mapping[str, Any], lines: Mapping[str, int], file: Path
) -> ConfigError:
    """A section's error with the line and key of the parameter that it names, or of the section."""
    said = str(error)
    kind = error.kind if isinstance(error, UnknownName) else None
    named = next(
        (
            key
            for key in params
            if key == kind or f"{key!r};" in said or f": {key} is " in said or said.startswith(f"{key}: ")
        ),
        "",
    )
    key = f"{at}.{named}" if named else at
    return ConfigError(said, file=str(file), line=lines.get(f"$.{key}"), key=key)


def _check_policies(config: Config, lines: Mapping[str, int], file: Path) -> None:
    """Parameters of policies that learn; those of the others are looked at when they are made."""
    sections = {"policy": config.policy}
    sections |= {
        f"pipelines.{name}.policy": one.policy for name, one in config.pipelines.items() if one.policy
    }
    for at, policy in sections.items():
        if policy.name in policies.available():
            continue
        from suffice.plans.learning import check_params

        try:
            check_params(policy.name, policy.params)
        except ConfigError as error:
            said = str(error)
            named = next((key for key in policy.params if f" {key}: " in said or f"{key!r};" in said), "")
            key = f"{at}.{named}" if named else at
            raise ConfigError(said, file=str(file), line=lines.get(f"$.{key}"), key=key) from None


def _gates(config: Config) -> list[tuple[str, GateConfig]]:
    """Those there are, and where they stand."""
    found = {"gate": config.gate}
    found |= {f"pipelines.{name}.gate": one.gate for name, one in config.pipelines.items()}
    return [(at, gate) for at, gate in found.items() if gate is not None]


def _check_gates(config: Config, lines: Mapping[str, int], file: Path) -> None:
    """A gate that there is, with parameters that it takes."""
    for at, gate in _gates(config):
        from suffice import gating
        from suffice.plans.gates import STRATEGIES

        try:
            if gate.path is None:
                gating.registry.check(gate.name, gate.params)
                if not isinstance(gate.params.get("counts"), str):  # a file, which is read later
                    gating.create(gate.name, **gate.params).by_hand(STRATEGIES)
            elif gate.params:
                raise ConfigError(f"a trained gate takes no parameters; leave out {', '.join(gate.params)}")
        except (ConfigError, UnknownName) as error:
            raise _at(error, at, gate.params, lines, file) from None


def _check_caches(config: Config, lines: Mapping[str, int], file: Path) -> None:
    """A rewriting model that there is, one file for all, and names that are no secret of ours."""
    sections = {"cache": config.cache}
    sections |= {f"pipelines.{name}.cache": one.cache for name, one in config.pipelines.items() if one.cache}
    known = [model.name for model in config.models]
    stores = {}
    for at, cache in sections.items():
        if not isinstance(cache, CacheConfig):
            continue
        wrong = None
        if cache.rewrite is not None and cache.rewrite.model not in known:
            wrong = "rewrite.model", f"{cache.rewrite.model!r} is not in the panel; known: {', '.join(known)}"
        elif cache.store is not None and not re.match(r"sqlite:///.|postgres(ql)?:", cache.store):
            wrong = "store", "expected sqlite:///cache.db or postgresql://..."
        elif cache.store is not None and cache.store == config.store:
            wrong = "store", "the cache wants a file of its own, apart from `store:`"
        elif cache.store is not None:
            stores[cache.store] = at
            if len(stores) > 1:
                wrong = "store", f"all caches share one store; {next(iter(stores.values()))} names another"
        if wrong is not None:
            key = f"{at}.{wrong[0]}"
            raise ConfigError(wrong[1], file=str(file), line=lines.get(f"$.{key}"), key=key)


def _check(config: Config, lines: Mapping[str, int], file: Path) -> None:
    _check_plans(config, lines, file)
    _check_policies(config, lines, file)
    _check_caches(config, lines, file)
    _check_gates(config, lines, file)
    seen: set[str] = set()
    for index, model in enumerate(config.models):
        at = f"$.models[{index}]"
        if model.name in seen:
            raise ConfigError(
                f"the name {model.name!r} is given twice; each candidate needs its own",
                file=str(file),
                line=lines.get(f"{at}.name"),
                key=f"models[{index}].name",
            )
        if model.name == "auto" or model.name.startswith(("auto:", "router-")):
            raise ConfigError(
                f"{model.name!r} is kept for routing; choose another name",
                file=str(file),
                line=lines.get(f"{at}.name"),
                key=f"models[{index}].name",
            )
        seen.add(model.name)
        for place, name in enumerate(model.capabilities or ()):
            if name not in CAPABILITIES.values():
                raise ConfigError(
                    f"{name!r} is no capability; known: {', '.join(CAPABILITIES.values())}",
                    file=str(file),
                    line=lines.get(f"{at}.capabilities[{place}]"),
                    key=f"models[{index}].capabilities",
                )
        for name in _PRICE_KEYS:
            value = getattr(model, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(
                    f"{value} is not a price; wanted 0 or more",
                    file=str(file),
                    line=lines.get(f"{at}.{name}"),
                    key=f"models[{index}].{name}",
                )
