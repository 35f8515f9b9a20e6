"""The cache as users meet it: real gateway processes, OpenAI's client, a provider that counts."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Commands
from scenes import answer, good, status
from suffice.store import new_key, open_store
from test_gateway_clients import Provider, Running

CACHE = "cache: {store: 'sqlite:///%s/cache.db', tags: [all]}\npipelines: {fresh: {cache: false}}\n"
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("cached")
    running = Running(folder, provider, CACHE % folder)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _friendly(provider: Provider) -> None:
    for model in (None, "small", "large"):
        provider.plays(good("fine, thanks"), model=model)


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}


def said(gateway: Running, text: str, **headers: str) -> tuple[str, str]:
    """The cache's word and the answer."""
    _, found, body = gateway.ask(PATH, chat(text), **headers)
    return found["x-suffice-cache"], body["choices"][0]["message"]["content"]


def at_once(n: int, work: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    barrier = threading.Barrier(n)

    def one() -> None:
        barrier.wait()
        found.append(work())

    threads = [threading.Thread(target=one) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_openai_client_whole_and_streamed(gateway: Running, provider: Provider) -> None:
    n = len(provider.upstream.requests)
    body = chat("How are you?")
    with gateway.client() as client:
        first = client.chat.completions.create(**body)
        again = client.chat.completions.create(**body)
        chunks = list(client.chat.completions.create(**body, stream=True))
        asked = list(
            client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True})
        )
    assert len(provider.upstream.requests) == n + 1
    assert first.choices[0].message.content == again.choices[0].message.content == "fine, thanks"
    assert first.usage is not None and again.usage is not None
    assert (first.usage.total_tokens, again.usage.total_tokens) == (12, 0)
    assert (again.id, again.model, again.choices[0].finish_reason) == (first.id, first.model, "stop")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "fine, thanks" and chunks[-1].choices[0].finish_reason == "stop"
    assert not any(chunk.usage for chunk in chunks)
    assert [chunk.usage.total_tokens for chunk in asked if chunk.usage] == [0]


def test_headers_say_what_the_cache_did(gateway: Running) -> None:
    text = "Which way did the answer come?"
    first, again = (gateway.ask(PATH, chat(text))[1] for _ in range(2))
    assert (first["x-suffice-cache"], again["x-suffice-cache"]) == ("miss", "hit")
    assert (again["x-suffice-plan"], again["x-suffice-cost-usd"], again["x-suffice-model"]) == (
        "cache",
        "0",
        "large",
    )
    assert again["x-suffice-baseline-usd"] == first["x-suffice-cost-usd"]
    assert said(gateway, text, x_suffice_cache="bypass")[0] == "bypass"
    assert said(gateway, text, x_suffice_cache="refresh")[0] == "miss"
    assert said(gateway, "Where is my order?")[0] == "bypass"
    assert gateway.ask(PATH, chat(text, model="auto:fresh"))[1]["x-suffice-cache"] == "off"
    code, _, body = gateway.ask(PATH, chat(text), x_suffice_cache="please")
    assert code == 400 and "bypass or refresh" in body["error"]["message"]
    _, _, page = gateway.ask("/metrics", method="GET")
    assert 'suffice_cache_requests_total{way="exact"}' in page
    assert 'suffice_requests_total{candidate="(cache)",status="200"}' in page
    assert 'suffice_cache_saved_usd_total{way="exact"} 0.0' in page


def test_a_hundred_at_once_make_one_upstream_call(gateway: Running, provider: Provider) -> None:
    for is_stream in (False, True):
        n = len(provider.upstream.requests)
        provider.plays(answer("slowly", delay_s=1.0) if not is_stream else good("slowly"), model="large")
        shown = {"stream_options": {"include_usage": True}} if is_stream else {}
        body = chat(f"Once for all, streamed: {is_stream}?", stream=is_stream, **shown)
        found = at_once(100, lambda body=body: gateway.ask(PATH, body))  # type: ignore[misc]
        assert {code for code, _, _ in found} == {200}
        assert len(provider.upstream.requests) == n + 1
        words = [headers["x-suffice-cache"] for _, headers, _ in found]
        assert (words.count("miss"), words.count("hit")) == (1, 99)
        free = re.compile(r"total_tokens\W+0\b")
        paid = [headers["x-suffice-cache"] for _, headers, said in found if not free.search(json.dumps(said))]
        assert paid == ["miss"]


def test_who_began_the_call_may_hang_up(gateway: Running, provider: Provider) -> None:
    n, hung_up = len(provider.upstream.requests), provider.upstream.n_hangups
    provider.plays(answer("late", delay_s=1.5), model="large")
    body = json.dumps(chat("Who stays?"))
    leader = http.client.HTTPConnection(gateway.root.removeprefix("http://"))
    leader.request("POST", PATH, body, {"content-type": "application/json"})
    time.sleep(0.4)
    found: list[Any] = []
    follower = threading.Thread(target=lambda: found.append(gateway.ask(PATH, chat("Who stays?"))))
    follower.start()
    time.sleep(0.4)
    leader.close()
    follower.join()
    code, headers, reply = found[0]
    assert (code, reply["choices"][0]["message"]["content"]) == (200, "late")
    assert headers["x-suffice-cost-usd"] != "0", "the one who stayed accounts for it"
    assert (len(provider.upstream.requests), provider.upstream.n_hangups) == (n + 1, hung_up)
    assert said(gateway, "Who stays?")[0] == "hit"


def test_a_failure_reaches_all_who_wait_and_the_next_asks_again(gateway: Running, provider: Provider) -> None:
    for model in ("small", "large"):
        provider.plays(status(400), model=model)
    found = at_once(8, lambda: gateway.ask(PATH, chat("Does it fail?")))
    assert {code for code, _, _ in found} == {400}
    assert len({headers["x-suffice-id"] for _, headers, _ in found}) == 8
    for model in ("small", "large"):
        provider.plays(good("it works"), model=model)
    assert said(gateway, "Does it fail?") == ("miss", "it works")


def test_a_complaint_about_a_hit_takes_it_away(gateway: Running, provider: Provider) -> None:
    provider.plays(good("poison"), model="large")
    text = "What was planted?"
    gateway.ask(PATH, chat(text))
    provider.plays(good("the truth"), model="large")
    _, headers, _ = gateway.ask(PATH, chat(text))
    assert headers["x-suffice-cache"] == "hit"
    code, _, _ = gateway.ask("/v1/feedback", {"id": headers["x-suffice-id"], "value": 0.0})
    assert code == 200
    assert said(gateway, text) == ("miss", "the truth")


def test_forgetting_reaches_a_running_gateway(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = Commands(gateway.folder, monkeypatch, capsys)
    monkeypatch.setenv("KEY", "x")
    texts = {"What does it cost?": "prices, de", "What is it called?": ""}
    for text, tags in texts.items():
        gateway.ask(PATH, chat(text), x_suffice_cache_tags=tags)
    time.sleep(0.3)
    assert commands("cache", "forget", "--tag", "de", "--json").json["forgotten"] == 1
    assert [said(gateway, text)[0] for text in texts] == ["miss", "hit"]
    assert commands("cache", "status", "--json").json["entries"] > 1
    assert "large" in commands("cache", "status").out
    assert commands("cache", "forget").code == 1
    assert commands("cache", "clear").code == 0
    assert [said(gateway, text)[0] for text in texts] == ["miss", "miss"]
    findings = {one["name"]: one for one in commands("doctor", "--json").json["findings"]}
    assert findings["cache"]["status"] == "ok"


def test_what_is_kept_outlives_kill_9_and_a_damaged_file(provider: Provider, tmp_path: Path) -> None:
    text = "What survives?"
    running = Running(tmp_path, provider, CACHE % tmp_path)
    assert said(running, text)[0] == "miss"
    time.sleep(0.3)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(10)
    assert running.process.stdout is not None
    running.process.stdout.close()
    running = Running(tmp_path, provider, CACHE % tmp_path)
    assert said(running, text)[0] == "hit"
    running.close()
    for path in tmp_path.glob("cache.db-*"):
        path.unlink()
    (tmp_path / "cache.db").write_bytes(b"SQLite format 3\x00" + os.urandom(20_000))
    running = Running(tmp_path, provider, CACHE % tmp_path)
    assert said(running, text)[0] == "miss"
    running.close()
    assert list(tmp_path.glob("cache.db.damaged-*"))


def test_forgetting_reaches_the_memory_of_running_gateways(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = [Running(tmp_path, provider, "cache: true\n") for _ in range(2)]
    commands = Commands(tmp_path, monkeypatch, capsys)
    monkeypatch.setenv("KEY", "x")
    texts = {"What does it cost?": "prices", "What is it called?": ""}
    try:
        for one in running:
            for text, tags in texts.items():
                assert one.ask(PATH, chat(text), x_suffice_cache_tags=tags)[1]["x-suffice-cache"] == "miss"
        assert "memory of gateways" in commands("cache", "status").out
        assert "nothing is on disk; running" in commands("cache", "forget", "--tag", "prices").out
        for one in running:
            assert [said(one, text)[0] for text in texts] == ["miss", "hit"]
        assert commands("cache", "clear", "--json").json == {"store": None, "forgotten": 0}
        for one in running:
            assert [said(one, text)[0] for text in texts] == ["miss", "miss"]
        _, headers, _ = running[0].ask(PATH, chat("What is it called?"))
        running[1].ask("/v1/feedback", {"id": headers["x-suffice-id"], "value": 0})
        assert said(running[0], "What is it called?")[0] == "miss", "another worker heard the complaint"
    finally:
        for one in running:
            one.close()


def test_commands_that_reach_no_cache_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = Commands(tmp_path, monkeypatch, capsys)
    (tmp_path / "suffice.yaml").write_text(
        "models: [{name: a, provider: ollama, model: a}]\ncache: true\nstore: 'sqlite:///:memory:'\n"
    )
    for words in (("clear",), ("forget", "--tag", "x"), ("status",)):
        done = commands("cache", *words)
        assert done.code == 1 and "restart the gateway" in " ".join(done.err.split())


def test_two_gateways_share_what_they_keep(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (Running(tmp_path / name, provider, CACHE % tmp_path) for name in ("one", "two"))
    try:
        assert said(one, "Do we share?")[0] == "miss"
        time.sleep(0.3)
        assert said(two, "Do we share?")[0] == "hit"
        _, headers, _ = two.ask(PATH, chat("Do we share?"))
        two.ask("/v1/feedback", {"id": headers["x-suffice-id"], "value": 0})
        assert said(one, "Do we share?")[0] == "miss"
    finally:
        one.close()
        two.close()


def test_tenants_never_meet(provider: Provider, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/suffice.db")
    secrets = {}
    for tenant in ("acme", "umbrella"):
        secrets[tenant], key, hashed = new_key(tenant)
        store.add_key(key, hashed)
    store.close()
    running = Running(tmp_path, provider, CACHE % tmp_path)
    try:
        provider.plays(good("poison"), model="large")
        said(running, "What is the password?", authorization=f"Bearer {secrets['acme']}")
        provider.plays(good("clean"), model="large")
        for _ in range(2):
            found = said(running, "What is the password?", authorization=f"Bearer {secrets['umbrella']}")
        assert found == ("hit", "clean")
    finally:
        running.close()


def test_a_conversation_goes_upstream_with_the_same_beginning(gateway: Running, provider: Provider) -> None:
    """A provider's prompt cache goes by the bytes of what came before."""
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Rules: \u00e4\u00f6\u00fc \u2028 {}", "name": "r"},
        {"content": [{"type": "text", "text": "One?"}], "role": "user"},
        {"role": "assistant", "content": "fine"},
        {"role": "user", "content": "Two?"},
    ]
    sent = []
    for n in (2, 4):
        gateway.ask(PATH, chat("", messages=turns[:n], temperature=n / 10))
        body = provider.upstream.requests[-1].body
        sent.append(body[body.index(b'"messages":') :])
    end = sent[0].rindex(b"}]", 0, sent[0].rindex(b"]") + 1) + 1
    assert end > 100 and sent[1].startswith(sent[0][:end])


def test_other_words_are_served_and_near_ones_rewritten(provider: Provider, tmp_path: Path) -> None:
    extra = "cache: {semantic: true, rewrite: {model: small, min_confidence: 0.9}}\n"
    running = Running(tmp_path, provider, extra)

    def sure(text: str, logprob: float) -> Any:
        tokens = [{"token": text, "logprob": logprob, "bytes": None, "top_logprobs": []}]
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": tokens}}
        return answer(text, choices=[choice])

    try:
        provider.plays(good("Paris"), model="large")
        provider.plays(sure("Madrid", -0.01), model="small")
        assert said(running, "What is the capital of France?") == ("miss", "Paris")
        assert said(running, "what's the capital of France") == ("semantic", "Paris")
        _, headers, body = running.ask(PATH, chat("What is the capital of Spain?"))
        assert (headers["x-suffice-cache"], headers["x-suffice-plan"]) == ("rewrite", "rewrite")
        assert (headers["x-suffice-model"], body["choices"][0]["logprobs"]) == ("small", None)
        assert body["choices"][0]["message"]["content"] == "Madrid"
        provider.plays(sure("Rome?", -1.0), model="small")
        provider.plays(good("Rome"), model="large")
        _, headers, body = running.ask(PATH, chat("What is the capital of Italy?"))
        assert (headers["x-suffice-cache"], body["choices"][0]["message"]["content"]) == ("miss", "Rome")
        assert body["usage"]["total_tokens"] == 24, "both calls"
        assert said(running, "Is Paris not the capital of France?")[0] != "semantic"
    finally:
        running.close()
