"""Gates, live: which strategy answers, what it costs, what the record and the client are told."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenes import Received, Scene, answer, completion_events, sse
from suffice import gating
from suffice.build import build
from suffice.config import load, parse, schema
from suffice.engine import Engine, Request
from suffice.errors import ArtefactError, ConfigError
from suffice.gating import Pay, Strategies
from suffice.gating.cuts import budgeted, searched
from suffice.pipeline import Pipeline
from suffice.plans.gated import Gated, RunningCut
from suffice.plans.ircot import Ircot
from suffice.plans.retrieve import Retrieve
from suffice.plans.single import Single
from suffice.retrieval import Corpus, Document
from suffice.types import Options, Query, Record
from test_gateway_clients import Provider, Running
from test_live_plans import engine_of
from test_lookups import STREAM, TEXTS, Drafter, Shelf, drafter, retrieval_of, roles, shown
from test_plans import Talker, do, usd

ARMS = ("none", "single", "multi")
ZORB = Query(text="Who built the Zorb lighthouse?")


def gated(name: str, shelf: Shelf | None = None, **params: Any) -> Gated:
    found = shelf if shelf is not None else Shelf()
    plans: Any = {"none": Single(), "single": Retrieve().use(found), "multi": Ircot().use(found)}
    return Gated(gating.create(name, **params).by_hand(ARMS), plans)


def from_memory(chance: float) -> Any:
    """Knows nothing without passages, and is so sure of it."""
    return drafter(f"Bob/{chance} Smith/{chance}", "Ada Quill [1]")


# --- gates that look at the query alone


@pytest.mark.parametrize(
    ("name", "params", "strategy", "n_lookups"),
    [
        ("never", {}, "none", 0),
        ("always", {}, "single", 1),
        ("always", {"strategy": "multi"}, "multi", 2),
        ("popularity", {"counts": {"zorb lighthouse": 3, "paris": 1e6}, "threshold": 5.0}, "single", 1),
        ("popularity", {"counts": {"Zorb": 1e6}, "threshold": 5.0}, "none", 0),
    ],
)
def test_one_strategy_by_the_query(name: str, params: Any, strategy: str, n_lookups: int) -> None:
    gate = gated(name, Shelf({"zorb": TEXTS["zorb"]}), **params)
    done = do(gate, [Talker("small", "Ada Quill [1]")], ZORB)
    told = retrieval_of(done)
    assert (told.strategy, told.n_lookups) == (strategy, n_lookups)
    assert not gate.looks_at_answers and done.given.content == "Ada Quill [1]"
    assert bool(told.citations) == (strategy != "none")
    assert done.given.cost_usd == usd(*done.attempts)


def test_a_query_is_as_popular_as_its_rarest_name() -> None:
    gate: Any = gating.create("popularity", counts={"Paris": 1000, "the eiffel tower": 50}, threshold=1)
    count = lambda text: round(math.expm1(gate.popularity(text)))  # noqa: E731  read like a table
    assert count("How high is the Eiffel Tower in Paris?") == 50
    assert count("What is Paris?") == 1000
    assert count("what is paris?") == 0, "where nothing is named, every word counts"
    assert count("Who is Zorb of Paris?") == 0
    assert gate.popularity("") == 0.0
    with pytest.raises(ConfigError, match="counts are numbers"):
        gating.create("popularity", counts={"x": -1})


# --- gates that look at an answer


def test_a_sure_answer_from_memory_is_kept() -> None:
    model = Drafter("small", from_memory(0.99))
    done = do(gated("confidence_probe", signal="normalised_probability", threshold=0.9), [model], ZORB)
    assert (done.given.content, len(model.asked), retrieval_of(done).strategy) == ("Bob Smith", 1, "none")
    assert "normalised_probability 0.99: kept" in done.notes


def test_an_unsure_one_is_looked_up_and_both_calls_are_paid() -> None:
    model = Drafter("small", from_memory(0.5))
    gate = gated("confidence_probe", signal="normalised_probability", threshold=0.9)
    done = do(gate, [model], ZORB)
    assert done.given.content == "Ada Quill [1]" and len(model.asked) == 2
    told = retrieval_of(done)
    assert (told.strategy, told.n_lookups, [one.id for one in told.citations]) == ("single", 1, ["zorb#0"])
    assert done.given.cost_usd == usd(*done.attempts) and len(done.attempts) == 2


def test_a_held_back_stream_shows_nothing_of_what_is_not_trusted() -> None:
    gate = gated("confidence_probe", signal="normalised_probability", threshold=0.5)
    for logprob, text in ((-0.1, "from memory "), (-3.0, "with passages ")):
        says = drafter("from memory", "with passages")
        done = do(gate, [Talker("small", says, logprob=logprob)], ZORB, options=STREAM, is_stream=True)
        assert done.text == text
        usages = [json.loads(chunk.data)["usage"] for chunk in done.chunks if b'"usage"' in chunk.data]
        assert usages[-1]["completion_tokens"] == done.given.usage.completion_tokens, "sums of all calls"


def test_a_signal_may_cost_calls_which_are_counted() -> None:
    def says(query: Query, options: Options) -> str:
        return "Ada [1]" if "passage [1]" in str(query.chat()) else f"guess {options.fields.get('seed')}"

    gate = gated("confidence_probe", signal="self_consistency", threshold=0.9)
    done = do(gate, [Talker("small", says)], ZORB)
    assert done.given.content == "Ada [1]"
    assert roles(done).count("verify") == 5 and done.given.cost_usd == usd(*done.attempts)


def test_what_memory_cannot_say_is_looked_up() -> None:
    from suffice.errors import ProviderUnavailable

    model = Talker("small", drafter_or_error(ProviderUnavailable("down")))
    gate = gated("confidence_probe", signal="normalised_probability", threshold=0.1)
    done = do(gate, [model], ZORB)
    assert done.given.content == "Ada Quill [1]" and "could not be read" in done.notes


def drafter_or_error(error: Exception) -> Any:
    return lambda query, options: "Ada Quill [1]" if "passage [1]" in str(query.chat()) else error


def test_a_short_draft_decides_and_is_thrown_away() -> None:
    gate = gated("prefix_margin", threshold=0.8, n_tokens=7)
    sure = Drafter("small", from_memory(0.99))
    done = do(gate, [sure], ZORB)
    assert [options.max_tokens for _, options in sure.asked] == [7, None]
    assert roles(done) == ["draft", ""] and retrieval_of(done).strategy == "none"
    assert done.given.cost_usd == usd(*done.attempts)
    unsure = Drafter("small", from_memory(0.4))
    done = do(gate, [unsure], ZORB)
    assert roles(done) == ["draft", ""] and retrieval_of(done).strategy == "single"
    assert done.given.content.startswith("Ada Quill") and "passage [1]" in shown(unsure)


def test_a_share_bounds_the_look_ups() -> None:
    cut = RunningCut(0.25)
    readings = np.random.default_rng(0).uniform(size=2000)
    looked_up = [reading < cut.saw(reading) for reading in readings]
    assert 0.22 <= np.mean(looked_up[100:]) <= 0.28
    assert cut.saw(None) == math.inf, "what cannot be read is looked up"
    assert RunningCut(0.0).saw(0.1) == -math.inf
    gate = gated("prefix_margin", share=0.0)
    done = do(gate, [Drafter("small", from_memory(0.4))], ZORB)
    assert retrieval_of(done).strategy == "none"


def test_cuts_against_slow_loops() -> None:
    rng = np.random.default_rng(1)
    sure, kept, gone = rng.uniform(size=(3, 60))
    cut = searched(sure, kept, gone, 60)
    best = max(np.where(sure >= one, kept, gone).mean() for one in [*sure, np.inf])
    assert np.where(sure >= cut, kept, gone).mean() == pytest.approx(best, abs=0.01)
    for share in (0.0, 0.3, 1.0):
        assert (sure < budgeted(sure, share)).mean() == pytest.approx(share, abs=0.02)


# --- fitted ones


def fitted(name: str, **params: Any) -> gating.BaseGate:
    rng = np.random.default_rng(0)
    n = 240
    is_known = rng.random(n) < 0.5
    quality = np.column_stack([is_known, np.ones(n), np.ones(n)]).astype(float)
    said = np.where(is_known[:, None], "Paris", np.array(["not mentioned", "Rome", "Rome"])).astype(object)
    calls = np.tile([0.0, 1.0, 3.0], (n, 1))
    sure = np.where(is_known, 0.95, 0.4)[:, None] + rng.normal(0, 0.01, (n, 3))
    table = Strategies.of(
        [f"{'capital' if known else 'zorb'} {i}?" for i, known in enumerate(is_known)],
        ARMS,
        quality,
        calls,
        np.maximum(calls, 1),
        responses=said,
        readings={"normalised_probability": sure},
    )
    scores = np.column_stack([np.where(is_known, 0.9, 0.2), np.full((n, 2), 0.95)])
    found: gating.BaseGate = gating.create(name, **params).fit(table, scores, Pay(0.1))
    return found


def live(rule: Any, scores: Any = None, shelf: Shelf | None = None) -> Gated:
    found = Shelf() if shelf is None else shelf
    plans: Any = {"none": Single(), "single": Retrieve().use(found), "multi": Ircot().use(found)}
    return Gated(rule, plans, scores=scores)


def test_a_fitted_probe_is_played_as_it_was_fitted() -> None:
    rule = fitted("confidence_probe", signal="normalised_probability")
    for chance, strategy in ((0.95, "none"), (0.4, "single")):
        done = do(live(rule), [Drafter("small", from_memory(chance))], ZORB)
        assert retrieval_of(done).strategy == strategy


def test_a_fitted_utility_gate_reads_scores() -> None:
    rule = fitted("utility")
    for low, strategy in ((0.9, "none"), (0.2, "single")):
        gate = live(rule, lambda queries, low=low: np.tile([low, 0.95, 0.95], (len(queries), 1)))
        assert retrieval_of(do(gate, [Talker("small")], ZORB)).strategy == strategy


def test_stepwise_looks_at_every_answer_and_counts_all_look_ups() -> None:
    rule = fitted("stepwise")
    scores = lambda queries: np.tile([0.5, 0.95, 0.95], (len(queries), 1))  # noqa: E731
    model = Talker("small", drafter("It is not mentioned.", "Rome [1]"))
    done = do(live(rule, scores), [model], ZORB)
    told = retrieval_of(done)
    assert told.strategy in ARMS and told.n_lookups >= (told.strategy != "none")
    assert done.given.cost_usd == usd(*done.attempts)


def test_what_cannot_be_played_is_refused() -> None:
    rule = fitted("confidence_probe", signal="normalised_probability")
    with pytest.raises(ConfigError, match="there is no plan for"):
        Gated(rule, {"none": Single()})
    rule.arms = ("nothing", "single", "multi")
    with pytest.raises(ConfigError, match="there is no plan for nothing"):
        live(rule)
    with pytest.raises(ConfigError, match="lower is surer"):
        live(
            gating.create("confidence_probe", signal="x", higher_is_surer=False, threshold=1.0).by_hand(ARMS)
        )
    with pytest.raises(ConfigError, match="cannot be read from a live answer"):
        live(gating.create("confidence_probe", signal="eigen_score", threshold=1.0).by_hand(ARMS))
    for name in ("classifier", "utility", "stepwise", "confidence_probe", "prefix_margin", "popularity"):
        params = {"signal": "perplexity"} if name == "confidence_probe" else {}
        with pytest.raises(ConfigError):
            gating.create(name, **params).by_hand(ARMS)


# --- wishes, limits, and requests that are not gated


def test_the_clients_wish_goes_before_the_gate() -> None:
    gate = gated("never")
    for wish in ("none", "single", "multi"):
        done = do(gate, [Talker("small")], ZORB, retrieval=wish)
        assert retrieval_of(done).strategy == wish and "the client's wish" in done.notes


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (Query(text="Zorb?", needs=frozenset({"tools"})), Options()),
        (Query(text="Zorb?", needs=frozenset({"vision"})), Options()),
        (Query(text="Zorb?"), Options(fields={"n": 3})),
    ],
)
def test_what_is_not_gated_is_answered_from_memory(query: Query, options: Options) -> None:
    gate = gated("confidence_probe", signal="normalised_probability", threshold=2.0)
    done = do(gate, [Talker("small")], query, options=options)
    assert retrieval_of(done).strategy == "none" and len(done.attempts) == 1


def test_who_leaves_while_memory_is_asked_stops_it() -> None:
    slow = Talker("small", delay_s=30.0)
    gate = gated("prefix_margin", threshold=0.5)

    async def main() -> None:
        from test_plans import context_of

        events: Any = gate.run(ZORB, context_of([slow]))
        task = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await events.aclose()

    asyncio.run(main())
    assert (slow.n_running, slow.n_cancelled) == (0, 1)


# --- in an engine


def gated_engine(gate: Gated, *models: Talker) -> Engine:
    engine = engine_of(Single(), *models)
    pipeline: Pipeline = engine.pipelines["auto"]
    pipeline.gate = gate
    return engine


def record_of(engine: Engine, query: Query = ZORB, **fields: Any) -> Record:
    async def main() -> Record:
        result = await engine.answer(Request(query=query, **fields))
        await engine.store.drain()
        kept = engine.store.record(result.record_id)
        assert kept is not None
        return kept

    return asyncio.run(main())


def test_the_record_says_how_it_was_looked_up() -> None:
    gate = gated("always")
    record = record_of(gated_engine(gate, Talker("small"), Talker("large", "Quill [1]")))
    assert record.retrieval is not None
    assert (record.retrieval.strategy, record.retrieval.n_lookups) == ("single", 1)
    assert [one.source for one in record.retrieval.citations] == ["zorb.txt"]
    assert (record.decision.plan, record.candidate) == ("single", "large")
    assert "gate: always: single" in record.decision.reason
    several = record_of(gated_engine(gated("always", strategy="multi"), Talker("large")))
    assert several.decision.plan == "ircot" and several.retrieval is not None
    assert several.cost_usd == sum(one.cost_usd or 0 for one in several.attempts)


def test_a_named_candidate_is_not_gated_and_thresholds_have_no_gate() -> None:
    engine = gated_engine(gated("always"), Talker("small"), Talker("large"))
    assert record_of(engine, model="small").retrieval is None
    assert engine.pipelines["auto"].with_threshold(0.5).gate is None
    assert engine.pipelines["auto"].gate is not None


# --- from a file

YAML = """
models:
  - {{name: small, provider: recorded, model: small}}
gate: {gate}
store: "sqlite:///:memory:"
"""


def configured(tmp_path: Path, gate: str, more: str = "") -> Any:
    corpus = Corpus(tmp_path / "corpus.db")
    corpus.add([Document(name, text) for name, text in TEXTS.items()])
    corpus.close()
    file = tmp_path / "suffice.yaml"
    file.write_text(YAML.format(gate=gate).replace("recorded", "openai") + more)
    return load(file, {"OPENAI_API_KEY": "x"})


def test_a_gate_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "counts.json").write_text('{"Paris": 100000}')
    for text, looks in (
        ("{name: prefix_margin, share: 0.3}", True),
        ("{name: popularity, counts: counts.json, threshold: 8}", False),
        ("{}", False),
        ("{name: always, strategy: multi, multi: {name: self_ask, k: 2}, single: {k: 1}}", False),
    ):
        config = configured(tmp_path, text)
        engine = build(config)
        gate = engine.pipelines["auto"].gate
        assert gate is not None and gate.looks_at_answers == looks
        assert gate.plans["multi"].name == ("self_ask" if "self_ask" in text else "ircot")
        asyncio.run(engine.close())


def test_a_trained_gate_of_a_file(tmp_path: Path) -> None:
    fitted("confidence_probe", signal="normalised_probability").save(tmp_path / "gate")
    engine = build(configured(tmp_path, "{path: gate}"))
    assert engine.pipelines["auto"].gate is not None
    asyncio.run(engine.close())


@pytest.mark.parametrize(
    ("gate", "more", "said"),
    [
        ("{name: nonsense}", "", "nonsense"),
        ("{name: always, strategie: multi}", "", "strategie"),
        ("{path: gate, threshold: 1}", "", "takes no parameters"),
        ("{corpus: other.db}", "", "suffice corpus add"),
        ("{name: stepwise}", "", "suffice gate train"),
        ("{name: popularity, counts: none.json, threshold: 1}", "", "no JSON object"),
        ("{multi: {name: ircot, kk: 1}}", "", "kk"),
        ("{path: nodir}", "", "no gate at .*nodir; `suffice gate train"),
        ("{multi: {name: best_of}}", "", r"yaml:4: gate.multi: the plan 'best_of' looks nothing up"),
        ("{name: always, strategy: twice}", "", r"yaml:4: gate.strategy: .*twice.*multi, none, single"),
        ("{single: {retriever: nope}}", "", r"yaml:4: gate.single.retriever: .*nope.*fts5"),
        ("{}", "plan: {name: retrieve, retriever: nope}\n", r"yaml:6: plan.retriever: .*nope"),
        ("{name: prefix_margin, share: 2}", "", r"yaml:4: gate.share: .*0 to 1"),
        ("{name: prefix_margin, share: 0.2, threshold: 1}", "", r"yaml:4: gate: .*leave one out"),
        ("{}", "policy: {name: linucb}\n", "answers without look-ups"),
    ],
)
def test_what_is_wrong_with_a_gate_is_said(tmp_path: Path, gate: str, more: str, said: str) -> None:
    with pytest.raises((ConfigError, ArtefactError), match=said):
        build(configured(tmp_path, gate, more))


def test_gates_stand_in_the_schema() -> None:
    properties = schema()["$defs"]["GateConfig"]
    assert "params" not in properties["properties"] and properties["additionalProperties"]
    text = "models: []\npipelines: {x: {gate: {name: never, threshold: 3}}}\n"
    with pytest.raises(ConfigError, match=r"x\.yaml:2"):
        parse(text, file=Path("x.yaml"), environ={})


def test_doctor_looks_at_gates(tmp_path: Path) -> None:
    from suffice.cli.checks_gate import check_gates

    def found(gate: str) -> list[tuple[str, str]]:
        return [(one.status, one.detail) for one in check_gates(configured(tmp_path, gate))]

    ((status, detail),) = found("{name: prefix_margin, share: 0.3}")
    assert status == "ok" and "prefix_margin: single by retrieve, multi by ircot; 3 documents" in detail
    Corpus(tmp_path / "empty.db").close()
    assert found("{corpus: empty.db}")[0][0] == "warn"
    assert found("{corpus: none.db}")[0][0] == "fail"


# --- a real model


@pytest.mark.slow
def test_a_local_model_looks_up_what_it_cannot_know(tmp_path: Path) -> None:
    from suffice.providers.local import model_file

    if not model_file("small").is_file():
        pytest.skip("no local model: suffice pull small")
    config = configured(
        tmp_path, "{name: confidence_probe, signal: normalised_probability, threshold: 0.85, single: {k: 2}}"
    )
    local = "models: [{name: small, provider: local, options: {threads: 1, max_tokens: 16}}]"
    file = tmp_path / "suffice.yaml"
    lines = file.read_text().splitlines()
    file.write_text(
        "\n".join([local, *[one for one in lines if one and "models" not in one and "- {" not in one]])
    )
    config = load(file, {})

    async def main() -> dict[str, Any]:
        engine = build(config)
        results = {}
        for text in ("What is the capital of France? One word.", "Who built the Zorb lighthouse?"):
            options = Options(fields={"temperature": 0, "max_tokens": 16})
            results[text[:3]] = await engine.answer(Request(query=Query(text=text), options=options))
        await engine.close()
        return results

    results = asyncio.run(main())
    known, looked_up = results["Wha"].record.retrieval, results["Who"].record.retrieval
    assert known.strategy == "none" and "Paris" in results["Wha"].answer.content
    assert looked_up.strategy == "single" and "Quill" in results["Who"].answer.content
    assert len(results["Who"].record.attempts) == 2


# --- behind the gateway


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    corpus = Corpus(folder / "corpus.db")
    corpus.add([Document(name, text, f"{name}.txt") for name, text in TEXTS.items()])
    corpus.close()
    running = Running(
        folder,
        provider,
        "gate: {name: always, single: {k: 1}, multi: {max_lookups: 2}}\n"
        "pipelines:\n  plain: {gate: {name: never}}\n  alone: {gate: {name: never}, plan: {name: ircot}}\n",
    )
    yield running
    running.close()


def speak(*, is_stream: bool = False) -> Scene:
    """Cites the first passage where it sees one."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        said = "Ada Quill [1]" if "passage [1]" in str(request.json["messages"]) else "Bob"
        scene = sse(completion_events([said])) if request.json.get("stream") else answer(said)
        await scene(request, writer)

    return play


BODY = {"model": "auto", "messages": [{"role": "user", "content": ZORB.text}]}


def test_headers_body_and_metrics(gateway: Running, provider: Provider) -> None:
    provider.plays(*[speak()] * 20)
    status, headers, body = gateway.ask("/v1/chat/completions", BODY)
    assert (status, headers["x-suffice-retrieval"], headers["x-suffice-lookups"]) == (200, "single", "1")
    assert body["choices"][0]["message"]["content"] == "Ada Quill [1]"
    assert body["citations"] == [{"number": 1, "id": "zorb#0", "source": "zorb.txt"}]
    for wish, said in (("none", "Bob"), ("multi", "Ada Quill [1]")):
        _, headers, body = gateway.ask("/v1/chat/completions", BODY, x_suffice_retrieval=wish)
        assert headers["x-suffice-retrieval"] == wish
        assert body["choices"][0]["message"]["content"] == said
        assert ("citations" in body) == (wish == "multi")
    assert headers["x-suffice-plan"] == "ircot"
    status, _, body = gateway.ask("/v1/chat/completions", BODY, x_suffice_retrieval="maybe")
    assert status == 400 and "none, single or multi" in body["error"]["message"]
    _, headers, _ = gateway.ask("/v1/chat/completions", {**BODY, "model": "auto:plain"})
    assert headers["x-suffice-retrieval"] == "none"
    _, headers, _ = gateway.ask("/v1/chat/completions", {**BODY, "model": "auto:alone"})
    assert headers["x-suffice-retrieval"] == "multi", "a plan of its own, behind a gate that lets all pass"
    _, headers, _ = gateway.ask("/v1/chat/completions", {**BODY, "model": "small"})
    assert "x-suffice-retrieval" not in headers
    page = gateway.ask("/metrics")[2]
    assert 'suffice_retrieval_requests_total{strategy="single"} 1' in page
    assert 'suffice_lookups_total{strategy="single"} 1' in page


def test_a_stream_says_it_at_its_head_and_cites_at_its_end(gateway: Running, provider: Provider) -> None:
    provider.plays(speak())
    stream = gateway.client().chat.completions.with_raw_response.create(**BODY, stream=True)  # type: ignore[call-overload]
    assert stream.headers["x-suffice-retrieval"] == "single"
    chunks = list(stream.parse())
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Ada Quill [1]"
    )
    cited = [chunk for chunk in chunks if getattr(chunk, "citations", None)]
    assert [chunk.choices[0].finish_reason for chunk in cited] == ["stop"]
    assert cited[0].citations[0]["source"] == "zorb.txt"
