"""From the bytes of a chat request to the engine's Request.

Only what is used here is checked; every other field passes through to the provider. What a client must
never decide is refused by name: addresses, keys and headers of an upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from suffice.engine import Request
from suffice.errors import InvalidRequest
from suffice.types import Caller, Options, Query

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

SCHEMAS: Final = frozenset({"tools", "functions", "response_format", "messages", "prediction"})
"""Where names are the user's own: a tool may well take an argument called `headers`. Nothing in them is
read as a setting by any provider; of messages, the fields of each message and part are searched."""

T = TypeVar("T")

_LONGEST_NAME: Final = 256
_MOST_TAGS: Final = 32
_COUNTS: Final = ("n", "max_tokens", "max_completion_tokens")
_IMAGE_PARTS: Final = frozenset({"image_url", "input_image", "image"})
_JSON_FORMATS: Final = frozenset({"json_object", "json_schema"})


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
    _refuse_settings(fields)
    model = fields.pop("model", None)
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_NAME:
        raise InvalidRequest("`model` must name a candidate, or be auto or auto:NAME", param="model")
    messages = fields.pop("messages", None)
    has_images = _check_messages(messages)
    is_stream = _optional(fields, "stream", bool, "true or false") or False
    for name in _COUNTS:
        _check_count(fields.get(name), name)
    metadata = _optional(fields, "metadata", dict, "an object") or {}
    query = Query.from_messages(
        messages,
        user=_optional(fields, "user", str, "text"),
        session=_session(headers, metadata),
        tags=_tags(headers, metadata),
        needs=_needs(fields, has_images=has_images),
    )
    options = Options(fields=fields)
    return Request(query=query, model=model, options=options, caller=caller, is_stream=is_stream)


def _refuse_settings(fields: Mapping[str, Any]) -> None:
    _check_names(fields, "")
    for name, value in fields.items():
        if isinstance(value, dict | list) and name not in SCHEMAS:
            _check_below(value, name)


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


def _check_messages(messages: Any) -> bool:
    """Whether there are images in them."""
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("`messages` must be a list with at least one message", param="messages")
    has_images = False
    for position, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest("a message must be an object", param=f"messages[{position}]")
        if not isinstance(message.get("role"), str):
            raise InvalidRequest("a message needs a `role`", param=f"messages[{position}].role")
        _check_names(message, f"messages[{position}]")
        content = message.get("content")
        if isinstance(content, list):
            has_images |= _check_parts(content, position)
        elif content is not None and not isinstance(content, str):
            raise InvalidRequest(
                "`content` must be text, a list of parts, or null", param=f"messages[{position}].content"
            )
    return has_images


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


def _optional(fields: Mapping[str, Any], name: str, kind: type[T], wanted: str) -> T | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidRequest(f"`{name}` must be {wanted}, not {type(value).__name__}", param=name)
    return value


def _check_count(value: Any, name: str) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidRequest(f"`{name}` must be a whole number of at least 1", param=name)


def _session(headers: Mapping[bytes, bytes], metadata: Mapping[str, Any]) -> str | None:
    given = headers.get(b"x-suffice-session")
    session = metadata.get("session") if given is None else given.decode("latin-1")
    return session[:_LONGEST_NAME] if isinstance(session, str) and session else None


def _tags(headers: Mapping[bytes, bytes], metadata: Mapping[str, Any]) -> tuple[str, ...]:
    given = headers.get(b"x-suffice-tags")
    tags: Any = metadata.get("tags") if given is None else given.decode("latin-1")
    if isinstance(tags, str):
        tags = tags.split(",")
    if not isinstance(tags, list):
        return ()
    found = (tag.strip()[:_LONGEST_NAME] for tag in tags if isinstance(tag, str))
    return tuple(filter(None, found))[:_MOST_TAGS]


def _needs(fields: Mapping[str, Any], *, has_images: bool) -> frozenset[str]:
    needs = set()
    if fields.get("tools") or fields.get("functions"):
        needs.add("tools")
    if has_images:
        needs.add("vision")
    wanted = fields.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if isinstance(kind, str) and kind in _JSON_FORMATS:
        needs.add("json")
    return frozenset(needs)
