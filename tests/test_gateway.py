"""The gateway's application in-process: who may ask, what is understood, what is answered and counted."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import DEAR, FakeModel
from suffice.engine import Engine
from suffice.errors import InvalidRequest, NotFound, ProviderRateLimited, ProviderUnavailable, StoreError
from suffice.gateway import Gateway
from suffice.gateway.auth import STALE_S, TTL_S, Access, Doorman, is_loopback
from suffice.gateway.board import Board
from suffice.gateway.coalesce import forward
from suffice.gateway.decode import FORBIDDEN, read_chat, read_object
from suffice.gateway.exchange import Message
from suffice.gateway.metrics import Metrics
from suffice.gateway.requests import CANCELS
from suffice.gateway.routes import MODEL, ROUTES, find
from suffice.store.keys import digest, new_key
from suffice.types import ApiKey, Caller, Feedback
from test_engine import make_engine

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "how are you"}]}
CANARY = "sk-suffice-canary-0123456789"


class Reply:
    """What came back."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


async def call(
    gateway: Gateway,
    path: str,
    body: Any = None,
    *,
    method: str | None = None,
    extensions: Mapping[str, Any] = {CANCELS: {}},
    leaves: asyncio.Event | None = None,
    **headers: str,
) -> Reply:
    """One request, without a server."""
    data = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    sent: list[Message] = []
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": data, "more_body": False}
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method or ("GET" if body is None else "POST"),
        "path": path,
        "raw_path": path.encode(),
        "headers": named,
        "extensions": extensions,
    }
    await gateway(scope, receive, send)
    return Reply(sent)


def run(work: Any, engine: Engine | None = None, **options: Any) -> Any:
    """`work(gateway)` between start-up and shutdown."""

    async def main() -> Any:
        gateway = Gateway(lambda: engine or make_engine(FakeModel("small"), FakeModel("large")), **options)
        await gateway.startup()
        try:
            return await work(gateway)
        finally:
            await gateway.shutdown()

    return asyncio.run(main())


def ask(path: str, body: Any = None, engine: Engine | None = None, **fields: Any) -> Reply:
    """One request to a keyless gateway."""
    options = {"is_loopback": True, "demands_key": False, **fields.pop("options", {})}

    async def work(gateway: Gateway) -> Reply:
        return await call(gateway, path, body, **fields)

    reply: Reply = run(work, engine, **options)
    return reply


# --- routes


def test_every_route_says_who_may_use_it() -> None:
    for route in (*ROUTES.values(), MODEL):
        assert isinstance(route.access, Access)
    open_ones = {path for path, route in ROUTES.items() if route.access is Access.OPEN}
    assert open_ones == {"/health", "/ready"}


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v1", "/v1/", "//v1/models", "/v1//models", "/v1/models/", "/V1/models", "/v1/models;x=y",
        "/v1%2fmodels", "/v1/%6dodels", "/x/../v1/models", "/health/", "/metrics/", "/v1/chat/completions/",
        "http://127.0.0.1/v1/models", "*", "/\xff",
    ],
)  # fmt: skip
def test_only_the_exact_path_is_a_route(path: str) -> None:
    assert find(path) is None
    reply = ask(path)
    assert (reply.status, reply.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ROUTES)
def test_methods(path: str) -> None:
    route = ROUTES[path]
    options = ask(path, method="OPTIONS")
    assert options.status == 200
    assert options.headers["allow"] == ", ".join(route.handlers)
    assert not any(name.startswith("access-control") for name in options.headers)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"):
        if method not in route.handlers:
            reply = ask(path, method=method)
            assert (reply.status, reply.headers["allow"]) == (405, ", ".join(route.handlers))


def test_models() -> None:
    listed = ask("/v1/models").json
    assert [model["id"] for model in listed["data"]] == ["auto", "small", "large"]
    assert listed["object"] == "list"
    assert ask("/v1/models/small").json["id"] == "small"
    missing = ask("/v1/models/none")
    assert (missing.status, missing.error["code"]) == (404, "model_not_found")


# --- keys

KINDS = {
    "none": {},
    "not a key": {"authorization": "Bearer sk-x"},
    "another scheme": {"authorization": "Basic x"},
}


def keyed() -> tuple[Engine, dict[str, dict[str, str]]]:
    """An engine whose store holds keys, and the headers for each kind of caller."""
    engine = make_engine(FakeModel("small"), FakeModel("large"))
    kinds = dict(KINDS)
    for kind, tenant, admin in (("key", "acme", False), ("other", "else", False), ("admin", "ops", True)):
        secret, key, hashed = new_key(tenant, is_admin=admin)
        engine.store.add_key(key, hashed)
        kinds[kind] = {"authorization": f"Bearer {secret}"}
    secret, key, hashed = new_key("acme")
    engine.store.add_key(key, hashed)
    engine.store.revoke_key(key.id, time.time())
    kinds["revoked"] = {"authorization": f"Bearer {secret}"}
    return engine, kinds


def test_every_route_with_every_kind_of_key() -> None:
    engine, kinds = keyed()

    async def work(gateway: Gateway) -> dict[tuple[str, str], int]:
        found = {}
        for path, route in ROUTES.items():
            body = None if "GET" in route.handlers else ASK
            for kind, headers in kinds.items():
                found[path, kind] = (await call(gateway, path, body, **headers)).status
        return found

    found = run(work, engine)
    for (path, kind), status in found.items():
        access = ROUTES[path].access
        is_known = kind in {"key", "other", "admin"}
        if access is Access.OPEN:
            expected = 200
        elif not is_known:
            expected = 401
        elif access is Access.OPERATOR:
            expected = 200 if kind == "admin" else 403
        else:
            expected = 400 if path == "/v1/feedback" else 200  # it has a body of its own
        assert status == expected, (path, kind)


def test_a_missing_key_is_explained() -> None:
    reply = ask(CHAT, ASK, options={"demands_key": True})
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["cache-control"] == "no-store"


def test_tenants_do_not_see_each_other() -> None:
    engine, kinds = keyed()

    async def work(gateway: Gateway) -> list[int]:
        record = (await call(gateway, CHAT, ASK, **kinds["key"])).headers["x-suffice-id"]
        feedback = {"id": record, "value": 1}
        return [
            (await call(gateway, "/v1/feedback", feedback, **kinds[kind])).status for kind in ("other", "key")
        ]

    assert run(work, engine) == [404, 200]


class Keys:
    """A store that knows one key, counts questions, and may fail."""

    def __init__(self) -> None:
        self.key: ApiKey | None = ApiKey(id="k", tenant="acme", prefix="sk", created_at=0.0)
        self.n_asked = 0
        self.fails = False

    def key_by_digest(self, hashed: bytes) -> ApiKey | None:
        self.n_asked += 1
        if self.fails:
            raise StoreError("gone")
        return self.key if hashed == digest("sk-good") else None

    def keys(self) -> list[ApiKey]:
        self.n_asked += 1
        return [self.key] if self.key else []


GOOD = {b"authorization": b"Bearer sk-good"}


def test_a_found_key_is_remembered_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keys = Keys()
    doorman = Doorman(keys, keyless=Caller())  # type: ignore[arg-type]
    for _ in range(5):
        assert doorman.admit(Access.CALLER, GOOD).tenant == "acme"
    assert keys.n_asked == 1
    keys.key = None  # revoked
    now += TTL_S + 0.01
    assert TTL_S <= 1.0
    with pytest.raises(Exception, match="revoked"):
        doorman.admit(Access.CALLER, GOOD)


def test_a_known_key_outlives_a_short_failure_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keys = Keys()
    doorman = Doorman(keys, keyless=Caller())  # type: ignore[arg-type]
    doorman.admit(Access.CALLER, GOOD)
    keys.fails = True
    now += STALE_S - 1
    assert doorman.admit(Access.CALLER, GOOD).tenant == "acme"
    with pytest.raises(StoreError):
        doorman.admit(Access.CALLER, {b"authorization": b"Bearer sk-unknown"})
    now += 2
    with pytest.raises(StoreError):
        doorman.admit(Access.CALLER, GOOD)


def test_a_keyless_gateway_wants_keys_once_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keys = Keys()
    key, keys.key = keys.key, None
    doorman = Doorman(keys, is_loopback=True, keyless=Caller())  # type: ignore[arg-type]
    assert doorman.admit(Access.CALLER, {}).tenant == "default"
    assert doorman.admit(Access.CALLER, {b"authorization": b"Bearer anything"}).tenant == "default"
    keys.key = key
    now += TTL_S
    with pytest.raises(Exception, match="no API key"):
        doorman.admit(Access.CALLER, {})
    assert doorman.admit(Access.CALLER, GOOD).tenant == "acme"


def test_our_own_keys_are_checked_even_where_none_is_needed() -> None:
    assert ask(CHAT, ASK, authorization=f"Bearer {CANARY}").status == 401
    assert ask(CHAT, ASK, authorization="Bearer sk-of-somebody-else").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8080"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "localhost.:80"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "127.1.2.3"}, 200),
        ({"host": "LOCALHOST"}, 200),
        ({"host": "localhost", "origin": "http://localhost:3000"}, 200),
        ({"host": "localhost", "origin": "http://127.0.0.1"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8080"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "127.evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": "[::1].evil.example"}, 403),
        ({"host": "0.0.0.0"}, 403),
        ({"host": "localhost", "origin": "https://evil.example"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
        ({"host": "localhost", "origin": "http://localhost.evil.example"}, 403),
        ({"host": "localhost", "origin": "http://localhost@evil.example"}, 403),
        ({"host": "localhost", "origin": ""}, 403),
    ],
)
def test_web_pages_cannot_use_a_keyless_gateway(headers: dict[str, str], status: int) -> None:
    reply = ask(CHAT, ASK, **headers)
    assert reply.status == status, reply.body


def test_metrics_are_for_this_machine_or_an_admin() -> None:
    assert ask("/metrics", host="localhost").status == 200
    for header in ("x_forwarded_for", "forwarded", "via", "x_real_ip"):
        assert ask("/metrics", host="localhost", **{header: "203.0.113.9"}).status == 401
    assert ask("/metrics", host="evil.example").status == 401
    assert ask("/metrics", host="localhost", options={"is_loopback": False}).status == 401


def test_loopback() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "127.0.0.1.example", "127.evil", "10.0.0.1", ""):
        assert not is_loopback(host)


# --- bodies


def chat(**fields: Any) -> dict[str, Any]:
    return {**ASK, **fields}


BAD: dict[str, tuple[Any, str | None]] = {
    "empty": (b"", None),
    "not JSON": (b"{", None),
    "rubbish after it": (msgspec.json.encode(ASK) + b"x", None),
    "not UTF-8": (b'{"model": "\xff", "messages": []}', None),
    "half a surrogate": (b'{"model": "\\ud800", "messages": []}', None),
    "byte order mark": (b"\xef\xbb\xbf{}", None),
    "NaN": (b'{"model": "auto", "temperature": NaN}', None),
    "infinite": (b'{"model": "auto", "temperature": 1e999}', None),
    "a list": (b"[]", None),
    "null": (b"null", None),
    "lists in lists": (b"[" * 100_000, None),
    "objects in objects": (b'{"a":' * 100_000, None),
    "same key twice": (
        b'{"model":"auto","model":"small","messages":[{"role":"user","content":"x"}]}',
        "model",
    ),
    "same key twice, spaced": (b'{"model": "auto", "model": "small", "messages": []}', "model"),
    "same key twice, inside": (b'{"model":"auto","messages":[{"role":"user","role":"system"}]}', "role"),
    "no model": ({"messages": ASK["messages"]}, "model"),
    "model of another type": (chat(model=3), "model"),
    "empty model": (chat(model=""), "model"),
    "long model": (chat(model="m" * 300), "model"),
    "unknown model": (chat(model="gpt-99"), "model"),
    "no messages": ({"model": "auto"}, "messages"),
    "empty messages": (chat(messages=[]), "messages"),
    "messages of another type": (chat(messages="hello"), "messages"),
    "a message that is text": (chat(messages=["hello"]), "messages[0]"),
    "no role": (chat(messages=[{"content": "x"}]), "messages[0].role"),
    "role of another type": (chat(messages=[{"role": 1, "content": "x"}]), "messages[0].role"),
    "content of another type": (chat(messages=[{"role": "user", "content": 3}]), "messages[0].content"),
    "a part that is text": (chat(messages=[{"role": "user", "content": ["x"]}]), "messages[0].content"),
    "stream of another type": (chat(stream="yes"), "stream"),
    "stream options": (chat(stream_options=True), "stream_options"),
    "n is nothing": (chat(n=0), "n"),
    "n is a half": (chat(n=0.5), "n"),
    "n is true": (chat(n=True), "n"),
    "max_tokens": (chat(max_tokens="many"), "max_tokens"),
    "max_completion_tokens": (chat(max_completion_tokens=-1), "max_completion_tokens"),
    "user": (chat(user=3), "user"),
    "metadata": (chat(metadata=[]), "metadata"),
    "response_format": (chat(response_format="json"), "response_format"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies(name: str) -> None:
    body, param = BAD[name]
    reply = ask(CHAT, body)
    assert reply.status == (404 if name == "unknown model" else 400)
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == param
    assert reply.error["message"]


PLACES = {
    "top": lambda name: chat(**{name: "x"}),
    "extra": lambda name: chat(extra={"deep": [{"deeper": {name: {}}}]}),
    "metadata": lambda name: chat(metadata={name: "x"}),
    "stream_options": lambda name: chat(stream_options={name: "x"}),
    "litellm_params": lambda name: chat(litellm_params={"inner": {name: "x"}}),
    "message": lambda name: chat(messages=[{"role": "user", "content": "x", name: "x"}]),
    "part": lambda name: chat(
        messages=[{"role": "user", "content": [{"type": "text", "text": "x", name: "x"}]}]
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_field_sets_an_address_a_key_or_a_header(place: str) -> None:
    assert len(FORBIDDEN) >= 60
    for name in FORBIDDEN:
        with pytest.raises(InvalidRequest, match="cannot be set by a request") as caught:
            read_chat(msgspec.json.encode(PLACES[place](name)), {}, Caller())
        assert caught.value.param is not None
        assert caught.value.param.endswith(name)


def test_tools_may_use_any_name_for_their_arguments() -> None:
    names = {"properties": {"headers": {"type": "object"}, "api_key": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "fetch", "parameters": names}}]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": names}}
    request = read_chat(msgspec.json.encode(chat(tools=tools, response_format=schema)), {}, Caller())
    assert request.options.fields["tools"] == tools
    assert request.query.needs == {"tools", "json"}


def test_what_is_understood() -> None:
    body = chat(
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "what is it"}, {"type": "image_url"}]},
            {"role": "assistant", "content": None, "tool_calls": []},
        ],
        user="u1",
        temperature=0.5,
        unheard_of={"a": [1]},
        metadata={"session": "s1", "tags": "a, b"},
    )
    request = read_chat(msgspec.json.encode(body), {}, Caller(tenant="acme"))
    query = request.query
    assert (query.text, query.user, query.session, query.tags) == ("what is it", "u1", "s1", ("a", "b"))
    assert query.needs == {"vision"}
    assert list(query.messages) == body["messages"]
    assert (request.model, request.is_stream, request.caller.tenant) == ("auto", False, "acme")
    assert dict(request.options.fields) == {k: v for k, v in body.items() if k not in {"model", "messages"}}
    headers = {b"x-suffice-session": b"s2", b"x-suffice-tags": b"c"}
    query = read_chat(msgspec.json.encode(body), headers, Caller()).query
    assert (query.session, query.tags) == ("s2", ("c",))


def test_the_text_of_a_chat_without_a_user() -> None:
    body = chat(messages=[{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}])
    assert read_chat(msgspec.json.encode(body), {}, Caller()).query.text == "b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON), st.booleans(), st.sampled_from([None, 2]))
def test_any_way_of_writing_an_object_is_read(
    value: dict[str, Any], is_ascii: bool, indent: int | None
) -> None:
    try:
        text = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
        msgspec.json.decode(text)
    except (UnicodeEncodeError, msgspec.DecodeError):
        return  # half a surrogate, or a number too large
    assert read_object(text) == msgspec.json.decode(text)


# --- answers


def test_an_answer_and_its_headers() -> None:
    reply = ask(CHAT, ASK)
    assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "large says")
    headers = reply.headers
    assert headers["x-suffice-model"] == "large"
    assert headers["x-suffice-plan"] == "single"
    assert headers["x-suffice-cache"] == "off"
    assert headers["x-suffice-id"].startswith("sfc-")
    assert float(headers["x-suffice-decision-ms"]) >= 0
    assert "e" not in headers["x-suffice-cost-usd"].lower()
    assert float(headers["x-suffice-cost-usd"]) > 0


def test_a_stream() -> None:
    engine = make_engine(FakeModel("small", "one two three"))
    reply = ask(CHAT, chat(stream=True), engine)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-suffice-id"].startswith("sfc-")
    events = reply.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    said = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events[:-2]]
    assert "".join(delta.get("content", "") for delta in said) == "onetwothree"


def test_a_stream_that_breaks_ends_in_an_error_and_is_not_done() -> None:
    reply = ask(CHAT, chat(stream=True), make_engine(FakeModel("small", "one two three", cut_after=1)))
    events = reply.body.decode().split("\n\n")
    assert json.loads(events[-2].removeprefix("data: "))["error"]["type"] == "upstream_error"
    assert "[DONE]" not in reply.body.decode()
    assert reply.messages[-1].get("more_body", False) is False


def test_a_provider_that_wants_us_to_wait() -> None:
    busy = ProviderRateLimited("slow down", candidate="small", retry_after_s=99.5)
    reply = ask(CHAT, chat(model="small"), make_engine(FakeModel("small", busy), retries=0))
    assert (reply.status, reply.headers["retry-after"]) == (429, "100")
    assert reply.headers["x-suffice-id"].startswith("sfc-")


def test_too_many_at_once() -> None:
    async def work(gateway: Gateway) -> tuple[int, ...]:
        first = asyncio.ensure_future(call(gateway, CHAT, ASK))
        await asyncio.sleep(0.01)
        second = await call(gateway, CHAT, ASK)
        assert second.headers["retry-after"] == "1"
        return (await first).status, second.status

    engine = make_engine(FakeModel("small", stall_s=0.05))
    assert run(work, engine, is_loopback=True, max_in_flight=1) == (200, 503)


def test_a_foreign_server_is_watched_for_the_client_leaving() -> None:
    model = FakeModel("small", "a b", stall_s=5)

    async def work(gateway: Gateway) -> float:
        leaves = asyncio.Event()
        asking = asyncio.ensure_future(
            call(gateway, CHAT, chat(stream=True), extensions={}, leaves=leaves, host="localhost")
        )
        await asyncio.sleep(0.02)
        start = time.monotonic()
        leaves.set()
        with pytest.raises(IndexError):  # nothing was answered
            await asking
        assert gateway.metrics.counts.in_flight == 0
        return time.monotonic() - start

    assert run(work, make_engine(model), is_loopback=True) < 1.0
    assert model.n_closed_early == 1


def test_a_foreign_server_gets_a_length() -> None:
    reply = ask(CHAT, ASK, extensions={})
    assert reply.headers["content-length"] == str(len(reply.body))


def test_route_answers_the_decision_alone() -> None:
    models = FakeModel("small"), FakeModel("large", price=DEAR)
    reply = ask("/v1/route", ASK, make_engine(*models)).json
    assert (reply["model"], reply["ranking"], reply["baseline"]) == ("large", ["large", "small"], "large")
    assert set(reply["scores"]) == set(reply["costs_usd"]) == {"small", "large"}
    assert reply["reason"]
    assert [model.n_calls for model in models] == [0, 0]


# --- feedback


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"value": 1}, "id"),
        ({"id": "", "value": 1}, "id"),
        ({"id": 3, "value": 1}, "id"),
        ({"id": "x"}, "value"),
        ({"id": "x", "value": "good"}, "value"),
        ({"id": "x", "value": 2}, "value"),
        ({"id": "x", "value": True}, "value"),
        ({"id": "x", "value": 4, "name": "judge"}, "value"),
        ({"id": "x", "value": -4, "name": "correction"}, "value"),
        ({"id": "x", "value": 1.5, "name": "label"}, "value"),
        ({"id": "x", "value": 1, "name": 3}, "name"),
        ({"id": "x", "value": 1, "comment": "c" * 10_001}, "comment"),
        ({"id": "x", "value": 1, "tenant": "acme"}, "tenant"),
    ],
)
def test_bad_feedback(body: dict[str, Any], param: str) -> None:
    reply = ask("/v1/feedback", body)
    assert (reply.status, reply.error["param"]) == (400, param)


def test_feedback() -> None:
    engine = make_engine(FakeModel("small"))

    async def work(gateway: Gateway) -> None:
        record = (await call(gateway, CHAT, ASK)).headers["x-suffice-id"]
        for body in ({"value": 0.5}, {"value": True, "name": "thumb"}, {"value": -3, "name": "delta"}):
            assert (await call(gateway, "/v1/feedback", {"id": record, **body})).status == 200
        kept = engine.store.feedback(record)
        assert {word.name: word.value for word in kept} == {"score": 0.5, "thumb": 1.0, "delta": -3.0}
        assert (await call(gateway, "/v1/feedback", {"id": "sfc-none", "value": 1})).status == 404

    run(work, engine, is_loopback=True)


def test_feedback_waits_for_a_record_that_another_worker_is_writing() -> None:
    engine = make_engine(FakeModel("small"))
    given_to: list[Feedback] = []

    async def late(feedback: Feedback) -> None:
        given_to.append(feedback)
        if len(given_to) == 1:
            raise NotFound("not yet")

    engine.add_feedback = late  # type: ignore[method-assign]
    assert ask("/v1/feedback", {"id": "sfc-1", "value": 1}, engine).status == 200
    assert len(given_to) == 2


# --- what operators see


def test_ready_and_health() -> None:
    assert ask("/health").json == {"status": "ok"}
    assert ask("/ready").json == {"status": "ready"}
    engine = make_engine(FakeModel("small"))
    healthy = engine.store.stats
    engine.store.stats = lambda: {**healthy(), "fault": "disk full"}  # type: ignore[method-assign]
    reply = ask("/ready", engine=engine)
    assert (reply.status, reply.error["code"]) == (503, "overloaded")


def sample(text: str, name: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    assert len(lines) == 1, f"{name} in\n{text}"
    return float(lines[0].rpartition(" ")[2])


def test_metrics() -> None:
    down = ProviderUnavailable("down", candidate="large")
    engine = make_engine(FakeModel("small"), FakeModel("large", down, down, "back"), retries=0)

    async def work(gateway: Gateway) -> str:
        for body in (ASK, ASK, ASK, chat(stream=True), chat(model="none")):
            await call(gateway, CHAT, body)
        await call(gateway, "/nowhere", b"")
        return (await call(gateway, "/metrics")).body.decode()

    text = run(work, engine, is_loopback=True)
    assert sample(text, 'suffice_requests_total{candidate="small",status="200"}') == 2
    assert sample(text, 'suffice_requests_total{candidate="large",status="200"}') == 2
    assert sample(text, 'suffice_failed_attempts_total{candidate="large"}') == 2
    assert sample(text, 'suffice_refusals_total{route="chat",status="404"}') == 1
    assert sample(text, 'suffice_refusals_total{route="unknown",status="404"}') == 1
    assert sample(text, 'suffice_tokens_total{candidate="small",kind="prompt"}') == 6
    assert sample(text, 'suffice_first_token_seconds_count{candidate="large"}') == 1
    assert sample(text, 'suffice_request_seconds_bucket{candidate="small",le="+Inf"}') == 2
    assert sample(text, "suffice_decision_seconds_count") == 4
    assert sample(text, "suffice_requests_in_flight") == 1  # this one
    assert sample(text, "suffice_store_dropped_records_total") == 0
    assert float(sample(text, 'suffice_cost_usd_total{candidate="small"}')) > 0


def test_metrics_are_well_formed() -> None:
    text = Metrics().text({"queued": 3, "dropped": 0, "lost": {'od"d': {"records": 1}}, "bytes": None})
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    assert text.endswith("\n")
    assert 'suffice_store_lost_records_total{reason="od\\"d"} 1' in text
    for line in text.splitlines():
        name = line.split()[2] if line.startswith("#") else line.partition("{")[0].partition(" ")[0]
        assert name.startswith(("suffice_", "process_"))


def test_workers_add_up_and_count_on() -> None:
    board = Board(2)

    def counted(worker: int, n_asked: int) -> str:
        async def main() -> str:
            gateway = Gateway(lambda: make_engine(FakeModel("small")), is_loopback=True, board=board)
            await gateway.startup(worker)
            for _ in range(n_asked):
                await call(gateway, CHAT, ASK)
            await call(gateway, "/nowhere")
            text = (await call(gateway, "/metrics")).body.decode()
            await gateway.shutdown()
            return text

        return asyncio.run(main())

    name = 'suffice_requests_total{candidate="small",status="200"}'
    assert sample(counted(0, 2), name) == 2
    assert sample(counted(1, 3), name) == 5
    text = counted(0, 1)  # in the place of the first, which ended
    assert sample(text, name) == 6
    assert sample(text, 'suffice_refusals_total{route="unknown",status="404"}') == 3
    assert sample(text, "suffice_requests_in_flight") == 1
    assert sample(text, 'suffice_request_seconds_count{candidate="small"}') == 6
    assert sample(text, "suffice_store_committed_records_total") >= 5


def test_a_page_that_is_being_written_is_not_believed() -> None:
    board = Board(2)
    assert board.read(1) is None
    board.write(1, b"whole")
    assert (board.read(0), board.read(1)) == (None, b"whole")
    board._memory[(1 << 20) + 8] = 0
    assert board.read(1) is None
    board.write(1, b"x" * (1 << 20))  # too long
    assert board.read(1) is None


def test_clients_cannot_make_series() -> None:
    async def work(gateway: Gateway) -> tuple[int, int]:
        before = (await call(gateway, "/metrics")).body.count(b"\n")
        for number in range(50):
            await call(gateway, CHAT, chat(model=f"m-{number}", user=f"u-{number}"))
            await call(gateway, f"/path-{number}")
        return before, (await call(gateway, "/metrics")).body.count(b"\n")

    before, after = run(work, is_loopback=True)
    assert after - before <= 3


def test_no_secret_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeModel):
        async def answer(self, query: Any, options: Any) -> Any:
            raise ValueError(f"bad key {CANARY}")

    with caplog.at_level(logging.DEBUG):
        body = chat(
            model="small", user=CANARY, metadata={"x": CANARY}, messages=[{"role": "user", "content": CANARY}]
        )
        reply = ask(CHAT, body, make_engine(Broken("small")), x_api_key=CANARY, cookie=CANARY)
        ask(CHAT, ASK, options={"demands_key": True}, authorization=f"Bearer {CANARY}")
    assert reply.status == 500
    assert CANARY not in caplog.text + reply.body.decode()
    assert "ValueError at test_gateway.py:" in caplog.text


# --- coalescing


def pieces(waits: list[bool], fails: bool = False) -> tuple[list[bytes], str]:
    """What `forward` sends of the letters a, b, c, ..., where some are waited for."""
    sent: list[bytes] = []

    class Letters:
        def __init__(self) -> None:
            self.position = 0

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            if self.position == len(waits):
                if fails:
                    raise KeyError("cut")
                raise StopAsyncIteration
            if waits[self.position]:
                await asyncio.sleep(0)
            self.position += 1
            return bytes([96 + self.position])

    async def send(data: bytes) -> None:
        await asyncio.sleep(0)
        sent.append(data)

    async def main() -> str:
        try:
            await forward(Letters(), lambda item: item, send)
        except KeyError:
            return "failed"
        return "ended"

    return sent, asyncio.run(main())


@given(st.lists(st.booleans(), max_size=30), st.booleans())
def test_pieces_keep_their_order_and_none_is_lost(waits: list[bool], fails: bool) -> None:
    sent, end = pieces(waits, fails)
    assert b"".join(sent) == bytes(range(97, 97 + len(waits)))
    assert end == ("failed" if fails else "ended")


def test_what_is_ready_goes_out_before_a_wait() -> None:
    assert pieces([False, False, True, False, True])[0] == [b"ab", b"cd", b"e"]
    assert pieces([True, True, True])[0] == [b"a", b"b", b"c"]


def test_a_cancelled_stream_closes_its_iterator() -> None:
    closed = []

    class Slow:
        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                closed.append("cancelled")
                raise
            return b""

    async def send(data: bytes) -> None:
        raise AssertionError("nothing was ready")

    async def main() -> None:
        task = asyncio.ensure_future(forward(Slow(), lambda item: item, send))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert closed == ["cancelled"]
