"""The gateway as its users meet it: a real process, real clients, a scripted provider behind it."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from scenes import answer, good, sse, stall, status, stream
from suffice.store import new_key, open_store
from upstream import Upstream

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "How are you?"}]}
CANARY = "sk-canary-0123456789abcdef"


class Provider:
    """An `Upstream` in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.upstream = Upstream()
        self._run(self.upstream.__aenter__())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def plays(self, *scenes: Any, model: str | None = None) -> None:
        self._loop.call_soon_threadsafe(lambda: self.upstream.plays(*scenes, model=model))
        self._run(asyncio.sleep(0))

    def hangups(self, n: int, within_s: float) -> bool:
        found: bool = self._run(self.upstream.hangups(n, within_s))
        return found

    def close(self) -> None:
        self._run(self.upstream.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Running:
    """A gateway process in front of a provider."""

    def __init__(self, folder: Path, provider: Provider, extra: str = "") -> None:
        self.provider, self.folder = provider, folder
        self.log = folder / "log"
        (folder / "suffice.yaml").write_text(f"""
models:
  - {{name: small, provider: openai, model: small, base_url: "{provider.upstream.url}", api_key: "${{KEY}}",
      input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4, strength: 0.5}}
  - {{name: large, provider: openai, model: large, base_url: "{provider.upstream.url}", api_key: "${{KEY}}",
      input_usd_per_mtok: 2.5, output_usd_per_mtok: 10, strength: 0.9}}
router: {{name: strongest}}
policy: {{name: utility, value_usd: 1}}
store: sqlite:///{folder}/suffice.db
{extra}""")
        command = [
            sys.executable,
            "-m",
            "suffice.gateway",
            "--config",
            str(folder / "suffice.yaml"),
            "--port",
            "0",
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "KEY": CANARY}
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + self.log.read_text()
        self.root = found.group(0)
        self.url = f"{self.root}/v1"

    def client(self, key: str = "unused") -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=20)

    def ask(
        self, path: str, body: Any = None, *, method: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of one request; bytes are sent as they are."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            self.root + path, data, {"content-type": "application/json", **named}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                content, code, found = reply.read(), reply.status, dict(reply.headers)
        except urllib.error.HTTPError as error:
            with error:
                content, code, found = error.read(), error.code, dict(error.headers)
        kind = found.get("content-type", "")
        return code, found, json.loads(content) if content and "json" in kind else content.decode()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        with self.process.stdout:
            self.process.wait(20)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("gateway"), provider)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _friendly(provider: Provider) -> None:
    for model in (None, "small", "large"):
        provider.plays(good("fine, thanks"), model=model)


# ------------------------------------------------------------------ official clients


def test_openai_client(gateway: Running) -> None:
    with gateway.client() as client:
        reply = client.chat.completions.create(**CHAT)
        assert reply.choices[0].message.content == "fine, thanks"
        assert reply.usage is not None
        assert {model.id for model in client.models.list()} >= {"auto", "small", "large"}


def test_openai_client_streams(gateway: Running) -> None:
    with gateway.client() as client:
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "fine, thanks"
        assert not any(chunk.usage for chunk in chunks), "usage was not asked for"
        asked = client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        assert sum(chunk.usage is not None for chunk in asked) == 1


def test_async_openai_client(gateway: Running) -> None:
    async def run() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key="x", max_retries=0) as client:
            whole = await client.chat.completions.create(**CHAT)
            text = ""
            async for chunk in await client.chat.completions.create(**CHAT, stream=True):
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            return whole.choices[0].message.content, text

    assert asyncio.run(run()) == ("fine, thanks", "fine, thanks")


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "object", "properties": {}}}},
    },
}


def test_tools_pass_through_both_ways(gateway: Running, provider: Provider) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"place":{}}'}}
    provider.plays(answer("", message={"content": None, "tool_calls": [call]}), model="large")
    with gateway.client() as client:
        reply = client.chat.completions.create(**CHAT, tools=[TOOL], tool_choice="auto")
    calls = reply.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.name == "weather"
    assert provider.upstream.requests[-1].json["tools"] == [TOOL]


def test_structured_output(gateway: Running, provider: Provider) -> None:
    from pydantic import BaseModel

    class Mood(BaseModel):
        mood: str

    provider.plays(answer('{"mood": "good"}'), model="large")
    with gateway.client() as client:
        reply = client.chat.completions.parse(**CHAT, response_format=Mood)
    assert reply.choices[0].message.parsed == Mood(mood="good")
    assert provider.upstream.requests[-1].json["response_format"]["type"] == "json_schema"


def test_langchain(gateway: Running) -> None:
    langchain_openai = pytest.importorskip("langchain_openai")
    model = langchain_openai.ChatOpenAI(model="auto", base_url=gateway.url, api_key="x", max_retries=0)
    assert model.invoke("How are you?").content == "fine, thanks"
    assert "".join(piece.content for piece in model.stream("How are you?")) == "fine, thanks"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(gateway: Running) -> None:
    command = ["curl", "-s", "-i", f"{gateway.url}/chat/completions"]
    command += ["-H", "content-type: application/json", "-d", json.dumps(CHAT)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    assert "fine, thanks" in shown
    assert "x-suffice-model: large" in shown.lower()


# ------------------------------------------------------------------ headers, records, feedback


def test_headers_say_who_answered_and_what_it_cost(gateway: Running) -> None:
    _, headers, _ = gateway.ask("/v1/chat/completions", {**CHAT, "model": "small"})
    assert headers["x-suffice-model"] == "small"
    assert headers["x-suffice-plan"] == "single"
    assert re.fullmatch(r"0\.0*[1-9]\d*", headers["x-suffice-cost-usd"])
    assert float(headers["x-suffice-decision-ms"]) >= 0
    _, headers, _ = gateway.ask("/v1/chat/completions", {**CHAT, "model": "router-strongest-0.1"})
    assert headers["x-suffice-baseline-usd"] == headers["x-suffice-cost-usd"], "the strongest answered"


def test_feedback_is_on_disk_when_it_is_answered(gateway: Running) -> None:
    _, headers, _ = gateway.ask("/v1/chat/completions", CHAT)
    record_id = headers["x-suffice-id"]
    code, _, _ = gateway.ask("/v1/feedback", {"id": record_id, "value": 0.75, "comment": "good"})
    assert code == 200
    store = open_store(f"sqlite:///{gateway.folder}/suffice.db")
    try:
        assert [word.value for word in store.feedback(record_id)] == [0.75]
        record = store.record(record_id)
        assert record is not None
        assert record.query is None, "content is not kept unasked"
        assert record.decision.propensities
    finally:
        store.close()
    assert gateway.ask("/v1/feedback", {"id": "sfc-nope", "value": 1})[0] == 404
    assert gateway.ask("/v1/feedback", {"id": record_id, "value": 7})[0] == 400


def test_records_reach_the_disk_within_a_moment(gateway: Running) -> None:
    _, headers, _ = gateway.ask("/v1/chat/completions", CHAT)
    store = open_store(f"sqlite:///{gateway.folder}/suffice.db")
    try:
        until = time.monotonic() + 2  # 100 ms on a machine of its own
        while store.record(headers["x-suffice-id"]) is None and time.monotonic() < until:
            time.sleep(0.01)
        assert store.record(headers["x-suffice-id"]) is not None
    finally:
        store.close()


def test_route_decides_without_asking(gateway: Running, provider: Provider) -> None:
    before = len(provider.upstream.requests)
    code, _, body = gateway.ask("/v1/route", CHAT)
    assert (code, body["model"]) == (200, "large")
    assert set(body["scores"]) == {"small", "large"}
    assert body["reason"]
    assert len(provider.upstream.requests) == before


# ------------------------------------------------------------------ failures


def test_a_dead_first_choice_is_replaced(gateway: Running, provider: Provider) -> None:
    provider.plays(status(503, "down"), model="large")
    code, headers, body = gateway.ask("/v1/chat/completions", CHAT)
    assert code == 200
    assert headers["x-suffice-model"] == "small"
    assert body["choices"][0]["message"]["content"] == "fine, thanks"


def test_a_stream_cut_later_ends_in_an_error_event(gateway: Running, provider: Provider) -> None:
    pieces = [{"choices": [{"index": 0, "delta": {"content": "half"}}]}]
    provider.plays(sse(pieces, done=False, cut=True), model="large")
    code, _, text = gateway.ask("/v1/chat/completions", {**CHAT, "stream": True})
    assert code == 200
    assert '"half"' in text
    assert '"error"' in text
    assert "[DONE]" not in text


def test_a_client_that_leaves_ends_the_upstream_call(gateway: Running, provider: Provider) -> None:
    before = provider.upstream.n_hangups
    provider.plays(stream(("word ",) * 200, delay_s=0.05), model="large")
    with gateway.client() as client:
        chunks = client.chat.completions.create(**CHAT, stream=True)
        next(iter(chunks))
        chunks.close()
    assert provider.hangups(before + 1, within_s=5)


BAD = {
    "malformed": (b'{"model": "auto", "messages": [', 400),
    "bad UTF-8": (b'{"model": "\xff", "messages": []}', 400),
    "nested": (b'{"model":"auto","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "no messages": ({"model": "auto"}, 400),
    "empty messages": ({"model": "auto", "messages": []}, 400),
    "messages of a wrong type": ({"model": "auto", "messages": "hello"}, 400),
    "model of a wrong type": ({**CHAT, "model": 7}, 400),
    "stream of a wrong type": ({**CHAT, "stream": "yes"}, 400),
    "not an object": ([1, 2], 400),
    "empty": (b"", 400),
    "unknown model": ({**CHAT, "model": "gpt-9"}, 404),
    "smuggled address": ({**CHAT, "base_url": "http://127.0.0.1:1"}, 400),
    "smuggled deeper": ({**CHAT, "extra_body": {"x": [{"api_base": "http://127.0.0.1:1"}]}}, 400),
    "smuggled key": ({**CHAT, "api_key": "x"}, 400),
    "smuggled headers": ({**CHAT, "extra_headers": {"a": "b"}}, 400),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies_get_a_clear_error(gateway: Running, provider: Provider, name: str) -> None:
    body, expected = BAD[name]
    before = len(provider.upstream.requests)
    code, _, error = gateway.ask("/v1/chat/completions", body, method="POST")
    assert code == expected
    assert set(error["error"]) == {"message", "type", "param", "code"}
    assert error["error"]["message"]
    assert len(provider.upstream.requests) == before, "nobody was asked"
    assert gateway.ask("/health")[0] == 200


def test_an_oversized_body_is_refused_before_it_is_sent(gateway: Running) -> None:
    connection = http.client.HTTPConnection(gateway.root.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("content-length", "21000000")
        connection.endheaders()
        reply = connection.getresponse()
        assert reply.status == 413
        assert json.loads(reply.read())["error"]["code"] == "request_too_large"


def test_unknown_routes_and_methods(gateway: Running) -> None:
    assert gateway.ask("/v2/nothing")[0] == 404
    assert gateway.ask("/v1/chat/completions", method="GET")[0] == 405
    assert gateway.ask("/ready")[0] == 200
    assert "suffice_requests_total" in gateway.ask("/metrics")[2]


# ------------------------------------------------------------------ keys and tenants


def test_every_route_with_every_kind_of_key(provider: Provider, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/suffice.db")
    keys = {name: new_key(name, name=name) for name in ("ann", "bob", "gone")}
    for _, key, digest in keys.values():
        store.add_key(key, digest)
    store.revoke_key(keys["gone"][1].id, time.time())
    store.close()
    running = Running(tmp_path, provider, "gateway: {auth: true}")
    bodies = {"/v1/chat/completions": CHAT, "/v1/route": CHAT, "/v1/models": None}
    try:
        for path, body in bodies.items():
            for token in ("", "sk-suffice-wrong", keys["gone"][0], CANARY):
                headers = {"authorization": f"Bearer {token}"} if token else {}
                code, _, error = running.ask(path, body, **headers)
                assert (code, error["error"]["code"]) == (401, "invalid_api_key"), (path, token)
            for name in ("ann", "bob"):
                assert running.ask(path, body, authorization=f"Bearer {keys[name][0]}")[0] == 200
        _, headers, _ = running.ask("/v1/chat/completions", CHAT, authorization=f"Bearer {keys['ann'][0]}")
        word = {"id": headers["x-suffice-id"], "value": 1}
        assert running.ask("/v1/feedback", word)[0] == 401
        assert running.ask("/v1/feedback", word, authorization=f"Bearer {keys['bob'][0]}")[0] == 404
        assert running.ask("/v1/feedback", word, authorization=f"Bearer {keys['ann'][0]}")[0] == 200
        assert running.ask("/health")[0] == 200
    finally:
        running.close()
    secrets = [CANARY, *(secret for secret, _, _ in keys.values())]
    for file in tmp_path.iterdir():
        if file.name != "suffice.yaml":
            content = file.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), file


def test_a_kill_loses_nothing_acknowledged_and_counts_the_rest(provider: Provider, tmp_path: Path) -> None:
    running = Running(tmp_path, provider)
    acknowledged: list[str] = []
    stopping = threading.Event()

    def load() -> None:
        while not stopping.is_set():
            with contextlib.suppress(OSError, urllib.error.URLError, KeyError, ValueError):
                _, headers, _ = running.ask("/v1/chat/completions", CHAT)
                record_id = headers["x-suffice-id"]
                if running.ask("/v1/feedback", {"id": record_id, "value": 1})[0] == 200:
                    acknowledged.append(record_id)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    running.process.kill()
    stopping.set()
    for thread in threads:
        thread.join()
    running.close()
    assert acknowledged
    store = open_store(f"sqlite:///{tmp_path}/suffice.db")
    try:
        assert all(store.feedback(record_id) for record_id in acknowledged)
        assert "lost" in store.stats()
    finally:
        store.close()


def test_a_stop_lets_requests_in_flight_finish(provider: Provider, tmp_path: Path) -> None:
    provider.plays(answer("slow but sure", delay_s=0.8), model="large")
    running = Running(tmp_path, provider)
    replies: list[int] = []
    thread = threading.Thread(target=lambda: replies.append(running.ask("/v1/chat/completions", CHAT)[0]))
    thread.start()
    time.sleep(0.4)
    running.close()
    thread.join()
    assert replies == [200]
    assert running.process.returncode == 0


def test_a_stalled_provider_is_given_up(provider: Provider, tmp_path: Path) -> None:
    provider.plays(stall(), model="large")
    provider.plays(stall(), model="small")
    running = Running(tmp_path, provider, "gateway: {timeout_s: 1.0}")
    try:
        start = time.monotonic()
        code, _, error = running.ask("/v1/chat/completions", CHAT)
        assert code == 504
        assert error["error"]["message"]
        assert time.monotonic() - start < 4
    finally:
        running.close()
