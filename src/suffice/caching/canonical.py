"""One key for requests that mean the same to every provider, however their JSON was written.

What counts as the same: the order of an object's keys and of tools, composed or decomposed accents (NFC),
kinds of line end, white space around a message, 1 and 1.0, a field left out and the same field as null.
White space within a message counts: it is meant in code. Case counts.
Fields such as `stop` are taken as they are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from suffice.caching.base import Asked
from suffice.types import Options, Query, content_text

NO_MATTER: Final = frozenset(
    {"model", "stream", "stream_options", "user", "metadata", "store", "safety_identifier"}
)
"""Fields of a request that do not change what is said; which models may answer is said by `also`."""
_USUAL: Final = {"n": 1, "logprobs": False, "tools": [], "stop": []}
"""Fields that say no more than their absence does."""
_DIGEST: Final = 16
_EXACT: Final = 2.0**53


def asked(query: Query, options: Options, *, tenant: str, also: Sequence[str] = ()) -> Asked:
    """What a cache knows this request by.

    Parameters
    ----------
    query : its last user message becomes `Asked.text`, all else that it says goes into the scope
    tenant : whose request it is; no entry is ever shared between tenants
    also : further words of the scope, in order: pipeline, version of policy or prompt, candidates

    Examples
    --------
    >>> one = asked(Query(text="Hi"), Options(fields={"top_p": 1, "stop": None}), tenant="a")
    >>> other = asked(Query(text=" Hi\\r\\n"), Options(fields={"top_p": 1.0, "stream": True}), tenant="a")
    >>> one.exact == other.exact
    True
    """
    earlier, text = _parted(query.chat())
    limits = query.constraints
    cost = None if limits.max_cost_usd is None else str(limits.max_cost_usd)
    constraints = (cost, limits.max_latency_s, sorted(limits.models))
    scope = _digest((earlier, _fields(options.fields), query.task, constraints, list(also)))
    return Asked(tenant=tenant, scope=scope, text=text, exact=_digest((tenant, scope.hex(), _text(text))))


def _parted(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Any], str]:
    """The conversation with the last user message's text taken out, and that text."""
    last = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    if last < 0:
        return [_message(message) for message in messages], ""
    content = messages[last].get("content")
    others = [part for part in content if not _is_text(part)] if isinstance(content, list) else None
    rest = {**messages[last], "content": others}
    earlier, later = messages[:last], messages[last + 1 :]
    return [*map(_message, earlier), rest, *map(_message, later)], content_text(content)


def _message(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message with its text in one spelling."""
    content = message.get("content")
    return {**message, "content": _text(content)} if isinstance(content, str) else message


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str) and set(part) <= {"type", "text"}


def _fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in fields.items() if name not in NO_MATTER and value is not None}
    if isinstance(kept.get("stop"), str):
        kept["stop"] = [kept["stop"]]
    if isinstance(kept.get("tools"), list):
        kept["tools"] = sorted(
            kept["tools"], key=lambda tool: msgspec.json.encode(_plain(tool), order="sorted")
        )
    return {name: value for name, value in kept.items() if name not in _USUAL or _USUAL[name] != value}


def _digest(value: Any) -> bytes:
    return blake2b(_encoded(value), digest_size=_DIGEST).digest()


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(_plain(value), order="sorted")


def _plain(value: Any) -> Any:
    """The same value in the one spelling that is digested; a null in an object is left out."""
    if isinstance(value, str):
        return _sound(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, Mapping):
        return {_sound(str(key)): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _text(text: str) -> str:
    return unicodedata.normalize("NFC", _sound(text.replace("\r\n", "\n").strip()))


def _sound(text: str) -> str:
    """Half a surrogate pair, which JSON can name, has no bytes of its own."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
