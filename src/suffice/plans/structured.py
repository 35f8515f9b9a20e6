"""Whether an answer is the JSON that a request wants: the part of JSON Schema that providers accept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from suffice.types import Options

_FENCE: Final = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_DEEPEST: Final = 50
_MOST_TRIES: Final = 50


def wants_json(options: Options) -> bool:
    shape = options.fields.get("response_format")
    return isinstance(shape, Mapping) and shape.get("type") in ("json_object", "json_schema")


def found(text: str, opening: str) -> list[Any]:
    """The JSON objects ("{") or lists ("[") in a text, one behind the other, whatever stands around them.

    Examples
    --------
    >>> found('Sure: {"a": {}} and {"b": 1} {', "{")
    [{'a': {}}, {'b': 1}]
    """
    decoder, values, at = json.JSONDecoder(), [], text.find(opening)
    for _ in range(_MOST_TRIES):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            values.append(value)
        at = text.find(opening, end)
    return values


def problem(text: str, options: Options) -> str | None:
    """Why the text is not what the request's `response_format` wants; None: it is, or nothing is wanted."""
    if not wants_json(options):
        return None
    shape = options.fields["response_format"]
    try:
        value = msgspec.json.decode(_FENCE.sub(r"\1", text.strip()))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        return f"no JSON: {error}"
    named = shape.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    if not isinstance(schema, Mapping):
        return None if isinstance(value, dict) else "JSON, but no object"
    return mismatch(value, schema, schema)


def mismatch(value: Any, schema: Any, root: Mapping[str, Any], at: str = "$", depth: int = 0) -> str | None:
    """The first place where a value departs from a schema; keywords that are not known are not checked.

    Examples
    --------
    >>> schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    >>> mismatch({"n": "3"}, schema, schema)
    '$.n is no integer'
    """
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if isinstance(schema.get("$ref"), str):
        return mismatch(value, _referred(schema["$ref"], root), root, at, depth + 1)
    if isinstance(schema.get("anyOf"), list):
        found = [mismatch(value, one, root, at, depth + 1) for one in schema["anyOf"]]
        if found and None not in found:
            return found[0]
    if "enum" in schema and value not in schema["enum"]:
        return f"{at} is none of the allowed values"
    if "const" in schema and value != schema["const"]:
        return f"{at} is not the value wanted"
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(kinds, list) and not any(_is(value, kind) for kind in kinds):
        return f"{at} is no {' or '.join(map(str, kinds))}"
    if isinstance(value, dict):
        return _object(value, schema, root, at, depth)
    if isinstance(value, list) and "items" in schema:
        found = [mismatch(one, schema["items"], root, f"{at}[{i}]", depth + 1) for i, one in enumerate(value)]
        return next((one for one in found if one is not None), None)
    return None


def _object(
    value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str, depth: int
) -> str | None:
    known = schema.get("properties")
    known = known if isinstance(known, Mapping) else {}
    for name in schema.get("required") or ():
        if name not in value:
            return f"{at}.{name} is missing"
    for name, one in value.items():
        if name in known:
            found = mismatch(one, known[name], root, f"{at}.{name}", depth + 1)
            if found is not None:
                return found
        elif schema.get("additionalProperties") is False:
            return f"{at}.{name} is not wanted"
    return None


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind in ("number", "integer"):
        return False
    if isinstance(value, float) and kind == "integer":
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    """What `#/$defs/NAME` points at; nothing is checked where it points nowhere."""
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part) if isinstance(found, Mapping) else None
    return found
