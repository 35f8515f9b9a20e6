"""From the bytes of a chat request to the engine's Request.

Only what is used here is checked; every other field passes through to the provider. What a client must
never decide is refused by name: addresses, keys and headers of an upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from suffice.engine import Request
from suffice.errors import InvalidRequest
from suffice.types import Caller, Options, Query, content_text

FORBIDDEN: Final = frozenset(
    spelling
    for name in (
        "base_url", "api_base", "api_key", "api_token", "api_type", "api_version", "auth_token", "headers",
        "extra_headers", "default_headers", "extra_query", "extra_body", "proxy", "proxies",
        "azure_endpoint", "azure_ad_token", "aws_access_key_id", "aws_secret_access_key",
        "aws_session_token", "aws_bedrock_runtime_endpoint", "vertex_credentials",
    )
    for spelling in (
        name,
        name.upper(),
        name.replace("_", "-"),
        name.replace("_", ""),
        name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:]),
        name.replace("base_url", "baseURL"),
    )
)  # fmt: skip
"""Names that steer the call itself in one client library or gateway or another, in their usual spellings."""

SCHEMAS: Final = frozenset({"tools", "functions", "response_format", "prediction"})
"""Where names are the user's own: a tool may well take an argument called `headers`, and no provider reads
a setting there. Everywhere else objects are searched, however deep; of messages, each message and part."""

_LONGEST_NAME: Final = 256
_MOST_TAGS: Final = 32
_IMAGE_PARTS: Final = frozenset({"image_url", "input_image", "image"})
_JSON_FORMATS: Final = frozenset({"json_object", "json_schema"})
_NOTHING: Final[frozenset[str]] = frozenset()
_NO_METADATA: Final[dict[str, Any]] = {}
_CACHE_WISHES: Final[Mapping[bytes, Literal["bypass", "refresh"]]] = {
    b"bypass": "bypass",
    b"refresh": "refresh",
}
_RETRIEVAL_WISHES: Final = frozenset({b"none", b"single", b"multi"})


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object, no key of which is given twice.

    Raises
    ------
    InvalidRequest
        If `body` is anything else.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply; send flatter JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    # A repeated key is lost in decoding: what is written back is shorter than what came.
    written = len(msgspec.json.encode(value))
    if written != len(body) and written != len(msgspec.json.format(body, indent=-1)):
        _check_repeats(body)  # or the client only writes numbers or text in another way
    return value


def _check_repeats(body: bytes) -> None:
    import json

    def check(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidRequest(f"the field {name[:80]!r} is given twice; send it once", param=name[:80])
            seen.add(name)

    json.loads(body, object_pairs_hook=check)


def read_chat(body: bytes, headers: Mapping[bytes, bytes], caller: Caller) -> Request:
    """A chat-completions request.

    `user` is the body's; the session is the header `x-suffice-session` or `metadata.session`; tags are the
    header `x-suffice-tags` (separated by commas) or `metadata.tags` (the same, or a list).

    Raises
    ------
    InvalidRequest
        With the field at fault as `param`.
    """
    fields = read_object(body)
    _check_names(fields, "")
    messages, model = fields.pop("messages", None), fields.pop("model", None)
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_NAME:
        raise InvalidRequest("`model` must name a candidate, or be auto or auto:NAME", param="model")
    text, has_images = _read_messages(messages)
    needs = {"vision"} if has_images else None
    for name, value in fields.items():
        read = _READERS.get(name)
        if read is not None:
            need = read(name, value)
            if need:
                needs = {need, *(needs or ())}
        kind = type(value)
        if (kind is dict or kind is list) and name not in SCHEMAS:
            _check_below(value, name)
    metadata = fields.get("metadata") or _NO_METADATA
    query = Query(
        text=text,
        messages=messages,
        user=fields.get("user"),
        session=_session(headers, metadata),
        tags=_tags(headers, metadata),
        needs=frozenset(needs) if needs else _NOTHING,
    )
    return Request(
        query=query,
        model=model,
        options=Options(fields=fields),
        caller=caller,
        is_stream=fields.get("stream") or False,
        retrieval=_retrieval_wish(headers) if b"x-suffice-retrieval" in headers else None,
        cache=_cache_wish(headers) if b"x-suffice-cache" in headers else "use",
        cache_tags=_words(headers[b"x-suffice-cache-tags"]) if b"x-suffice-cache-tags" in headers else (),
    )


def _check_names(fields: Mapping[str, Any], where: str) -> None:
    if not FORBIDDEN.isdisjoint(fields):
        name = next(name for name in fields if name in FORBIDDEN)
        raise InvalidRequest(
            f"`{name}` cannot be set by a request: addresses, keys and headers of providers stand in the "
            "gateway's configuration only",
            param=f"{where}.{name}" if where else name,
        )


def _check_below(value: Any, where: str) -> None:
    """Every object inside, however deep; without recursion, which a client could exhaust."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            _check_names(value, where)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _read_messages(messages: Any) -> tuple[str, bool]:
    """The text that routers see, that of the last user message, and whether there are images."""
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("`messages` must be a list with at least one message", param="messages")
    has_images, has_user, said = False, False, None
    for position, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest("a message must be an object", param=f"messages[{position}]")
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str):
            raise InvalidRequest("a message needs a `role`", param=f"messages[{position}].role")
        if not FORBIDDEN.isdisjoint(message):
            _check_names(message, f"messages[{position}]")
        if isinstance(content, list):
            has_images |= _check_parts(content, position)
        elif content is not None and not isinstance(content, str):
            raise InvalidRequest(
                "`content` must be text, a list of parts, or null", param=f"messages[{position}].content"
            )
        if role == "user":
            said, has_user = content, True
    if not has_user:
        said = messages[-1].get("content")
    return said if isinstance(said, str) else content_text(said), has_images


def _check_parts(parts: list[Any], position: int) -> bool:
    """Whether there are images among them."""
    has_images = False
    for part in parts:
        if not isinstance(part, dict):
            raise InvalidRequest("a part must be an object", param=f"messages[{position}].content")
        _check_names(part, f"messages[{position}].content")
        kind = part.get("type")
        has_images |= isinstance(kind, str) and kind in _IMAGE_PARTS
    return has_images


def _check_flag(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, value, "true or false")


def _check_text(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "text")


def _check_object(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, dict):
        raise _wrong(name, value, "an object")


def _check_count(name: str, value: Any) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidRequest(f"`{name}` must be a whole number of at least 1", param=name)


def _need_tools(name: str, value: Any) -> str | None:
    return "tools" if value else None


def _need_json(name: str, value: Any) -> str | None:
    _check_object(name, value)
    kind = value.get("type") if value else None
    return "json" if isinstance(kind, str) and kind in _JSON_FORMATS else None


def _wrong(name: str, value: Any, wanted: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` must be {wanted}, not {type(value).__name__}", param=name)


_READERS: Final[Mapping[str, Callable[[str, Any], str | None]]] = {
    "stream": _check_flag,
    "user": _check_text,
    "metadata": _check_object,
    "stream_options": _check_object,
    "n": _check_count,
    "max_tokens": _check_count,
    "max_completion_tokens": _check_count,
    "tools": _need_tools,
    "functions": _need_tools,
    "response_format": _need_json,
}
"""What is looked at: each checks its field, and may name a capability without which there is no answer."""


def _session(headers: Mapping[bytes, bytes], metadata: Mapping[str, Any]) -> str | None:
    given = headers.get(b"x-suffice-session")
    session = metadata.get("session") if given is None else given.decode("latin-1")
    return session[:_LONGEST_NAME] if isinstance(session, str) and session else None


def _retrieval_wish(headers: Mapping[bytes, bytes]) -> str:
    """
    Raises
    ------
    InvalidRequest
        If it is no strategy.
    """
    wish = headers[b"x-suffice-retrieval"].strip().lower()
    if wish not in _RETRIEVAL_WISHES:
        raise InvalidRequest(
            "the header x-suffice-retrieval says none, single or multi; leave it out for the gate's choice"
        )
    return wish.decode()


def _cache_wish(headers: Mapping[bytes, bytes]) -> Literal["bypass", "refresh"]:
    """
    Raises
    ------
    InvalidRequest
        If it is something else.
    """
    wish = _CACHE_WISHES.get(headers[b"x-suffice-cache"].strip().lower())
    if wish is None:
        raise InvalidRequest("the header x-suffice-cache says bypass or refresh; leave it out for neither")
    return wish


def _words(value: bytes) -> tuple[str, ...]:
    """What is separated by commas."""
    found = (word.strip()[:_LONGEST_NAME] for word in value.decode("latin-1").split(","))
    return tuple(filter(None, found))[:_MOST_TAGS]


def _tags(headers: Mapping[bytes, bytes], metadata: Mapping[str, Any]) -> tuple[str, ...]:
    given = headers.get(b"x-suffice-tags")
    tags: Any = metadata.get("tags") if given is None else given.decode("latin-1")
    if not tags:
        return ()
    if isinstance(tags, str):
        tags = tags.split(",")
    if not isinstance(tags, list):
        return ()
    found = (tag.strip()[:_LONGEST_NAME] for tag in tags if isinstance(tag, str))
    return tuple(filter(None, found))[:_MOST_TAGS]
