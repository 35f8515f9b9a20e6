"""What is proposed to somebody who has configured nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from scripts.panel import plan

from commands import CLOSED, FakeProvider
from suffice import starter
from suffice.catalogue import Catalogue
from suffice.config import load, parse
from suffice.providers.pull import KNOWN
from suffice.routers import read_manifest
from suffice.starter import detect, panel, ready, router
from suffice.starter.served import served_models
from suffice.starter.writing import as_yaml

NOWHERE = {"OLLAMA_HOST": CLOSED, "VLLM_HOST": CLOSED}
MADE = starter.Starter(
    router="ridge", value_usd=2e-05, why="so", n_queries=600, quality=0.4, cost_share=0.8,
    best_single="large", best_quality=0.5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_local_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_HOME", str(tmp_path / "home"))


def offer(model: str, price: float, **fields: object) -> starter.Offer:
    prices = {"input_usd_per_mtok": price, "output_usd_per_mtok": price}
    return msgspec.convert({"provider": "openai", "model": model, **prices, **fields}, starter.Offer)


def test_every_preferred_model_has_a_price() -> None:
    catalogue = Catalogue.load()
    for provider, wanted in detect.PREFERRED.items():
        for model in (*wanted[0], *wanted[1]):
            row = catalogue.find(provider, model)
            assert row is not None and row.price.is_known, (provider, model)
        cheap, strong = (catalogue.find(provider, models[0]) for models in wanted)
        assert cheap is not None and strong is not None
        assert cheap.price.output_usd_per_mtok < strong.price.output_usd_per_mtok


def test_local_models_are_asked_as_they_were_recorded() -> None:
    for entry in panel.local_panel(as_recorded=True).entries:
        arm = plan.ARMS[entry.name]
        assert (entry.model, entry.system, entry.max_tokens) == (arm.file, arm.system, arm.max_tokens)
    assert set(detect.LOCAL_FILES) == set(KNOWN)


def test_nothing_is_found_where_nothing_is() -> None:
    found = starter.look(NOWHERE)
    assert found == starter.Found()
    assert starter.choose(found) is None
    assert starter.choose(found, local=True) is not None


def test_keys_are_found_by_name_and_never_kept() -> None:
    found = starter.look({**NOWHERE, "OPENAI_API_KEY": "sk-secret", "GEMINI_API_KEY": "g-secret"})
    assert "secret" not in repr(found)
    assert {one.key for one in found.offers} == {"OPENAI_API_KEY", "GEMINI_API_KEY"}
    assert len(found.offers) == 4
    assert starter.look({**NOWHERE, "OPENAI_API_KEY": ""}).offers == ()


def test_online_only_served_models_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap, strong = detect.PREFERRED["openai"]
    monkeypatch.setattr(detect, "served_models", lambda *_, **__: (cheap[-1], strong[-1], "other"))
    found = starter.look({**NOWHERE, "OPENAI_API_KEY": "k"}, online=True)
    assert [one.model for one in found.offers] == [cheap[-1], strong[-1]]


def test_ollama_and_vllm_are_found_with_assumed_prices() -> None:
    with FakeProvider() as provider:
        found = starter.look({"OLLAMA_HOST": provider.address, "VLLM_HOST": provider.address})
        assert [one.provider for one in found.offers] == ["ollama", "ollama", "vllm", "vllm"]
        assert all(one.is_assumed and one.output_usd_per_mtok > 0 for one in found.offers)
        assert found.offers[0].base_url == f"http://{provider.address}/v1"


@pytest.mark.parametrize("reply", [[], {"models": 3}, {"models": [{"name": 3}, {}, None]}, "x"])
def test_a_strange_server_is_not_ollama(monkeypatch: pytest.MonkeyPatch, reply: object) -> None:
    monkeypatch.setattr(detect, "get_json", lambda *_: reply)
    assert starter.look({}).offers == ()


def test_models_that_cannot_chat_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"name": "nomic-embed-text", "size": 1}, {"name": "b", "size": 3e9}, {"name": "a", "size": 1e9}]
    monkeypatch.setattr(detect, "get_json", lambda url, *_: {"models": rows} if "tags" in url else {})
    assert [one.model for one in starter.look({}).offers] == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "address"),
    [("0.0.0.0:11434", "http://127.0.0.1:11434"), ("http://box:1/", "http://box:1"), ("", detect.OLLAMA)],
)
def test_addresses(given: str, address: str) -> None:
    assert detect._address(given, detect.OLLAMA) == address


def test_no_list_of_models_is_one_sentence() -> None:
    with FakeProvider() as provider, pytest.raises(OSError, match="no list of models"):
        served_models("azure")
    with pytest.raises(OSError, match="no answer from"):
        served_models("openai", base_url=f"http://{CLOSED}/v1", key="sk-secret")
    with FakeProvider() as provider:
        assert served_models("openai", base_url=f"http://{provider.address}/v1") == ("cheap", "dear")


def test_the_cheapest_and_the_dearest_are_routed_between() -> None:
    offers = (offer("middle", 2), offer("dear", 9), offer("cheap", 1))
    made = starter.choose(starter.Found(offers=offers))
    assert made is not None
    assert [entry.name for entry in made.entries] == ["cheap", "middle", "dear"]
    assert made.arms == {"cheap": "small", "dear": "large"}
    assert made.borrows is not None and "borrowed" in made.borrows


def test_twins_of_two_providers_have_different_names() -> None:
    made = starter.choose(starter.Found(offers=(offer("a", 1), offer("a", 2, provider="vllm"))))
    assert made is not None
    assert [entry.name for entry in made.entries] == ["openai-a", "vllm-a"]


def test_one_offer_makes_a_panel_without_choice() -> None:
    made = starter.choose(starter.Found(offers=(offer("only", 1),)))
    assert made is not None and made.arms == {}


def test_local_models_where_they_are_here() -> None:
    made = starter.choose(starter.Found(offers=(offer("only", 1),), pulled=("small", "large")))
    assert made is not None and made.kind == "local"
    assert [entry.name for entry in made.entries] == ["small", "small-steps", "large", "only"]
    assert "only" not in made.arms


@pytest.mark.parametrize("made", [None, MADE])
@pytest.mark.parametrize(
    "of",
    [
        starter.local_panel("it's: [all] #here\n${X}"),
        starter.recorded_panel(),
        starter.choose(starter.Found(offers=(offer("llama3.2:3b", 1e-5, is_assumed=True), offer("no", 2)))),
    ],
)
def test_the_written_file_reads_as_meant(of: starter.Panel, made: starter.Starter | None) -> None:
    config = parse(as_yaml(of, made), file=Path("suffice.yaml"), environ={})
    for entry, model in zip(of.entries, config.models, strict=True):
        assert (model.name, model.provider, model.model or model.name) == (
            entry.name,
            entry.provider,
            entry.model,
        )
        assert model.usd_per_cpu_hour == entry.usd_per_cpu_hour
        assert model.output_usd_per_mtok == entry.output_usd_per_mtok
        assert model.options.get("system") == entry.system
    assert config.policy.params == {"value_usd": 0.02 if made is None else 2e-05}
    assert config.router.path == (None if made is None else "router/")


def test_a_prepared_panel_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = starter.local_panel()
    file, made = starter.prepare(of)
    assert made is not None and made.router in ("knn", "ridge")
    config = load(file)
    manifest = read_manifest(config.path("router"))
    assert set(manifest.arms) == {"small", "small-steps", "large"}
    assert manifest.router == made.router
    assert 0 < made.value_usd < 1
    monkeypatch.setattr(ready, "train", lambda *_, **__: pytest.fail("trained again"))
    assert starter.prepare(of, speed=1.0001) == (file, made)
    assert [path.name for path in file.parent.parent.iterdir()] == [file.parent.name], (
        "nothing is left behind"
    )


def test_a_router_that_cannot_be_read_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "CHOICES", ("ridge",))
    file, _ = starter.prepare(starter.local_panel())
    arrays = file.parent / "router" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:100])
    again, made = starter.prepare(starter.local_panel())
    assert again == file
    assert made is not None and len(arrays.read_bytes()) > 100


def test_a_slower_machine_costs_more_and_chooses_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "CHOICES", ("ridge",))
    of = starter.local_panel()
    (_, made), (_, slow) = starter.prepare(of), starter.prepare(of, speed=2.0)
    assert made is not None and slow is not None
    assert slow.cost_share == pytest.approx(made.cost_share, abs=0.05)
    assert 1.5 * made.value_usd < slow.value_usd < 2.7 * made.value_usd
