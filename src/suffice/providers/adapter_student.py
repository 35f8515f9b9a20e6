"""A student on a local base: its adapter, and the prompt that it was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Self

import msgspec

from suffice.errors import ConfigError
from suffice.providers.student_card import StudentCard, read_card
from suffice.types import Options, Query

GGUF: Final = "adapter.gguf"
PLACE: Final = "{query}"
_PASSED: Final = ("temperature", "top_p", "top_k", "min_p", "seed", "stop", "logit_bias")
_N_ALTERNATIVES: Final = 1
"""Asked for per token where the client names no number: the chosen one's logprob comes with it."""


class AdapterStudent(msgspec.Struct, frozen=True, kw_only=True):
    """What a call to llama.cpp needs to know."""

    path: Path
    """Of the adapter in GGUF."""
    card: StudentCard | None = None
    """None: a bare adapter, which answers chats as its base does."""

    @classmethod
    def open(cls, place: object, name: str) -> Self:
        """From the option `adapter` of a candidate.

        Raises
        ------
        ConfigError
            If there is no adapter, or the folder is of another kind of student.
        ArtefactError
            If the folder's card cannot be read.
        """
        if not isinstance(place, str | Path):
            raise ConfigError(f"{name}: adapter is a folder or a file, got {place!r}")
        path = Path(place).expanduser().resolve()
        if path.is_file():
            return cls(path=path)
        card = read_card(path)
        if card.kind != "lora" or card.prompt is None:
            raise ConfigError(f"{name}: {path} holds a {card.kind} student, which has no adapter")
        if not (path / GGUF).is_file():
            raise ConfigError(f"{name}: no {GGUF} in {path}: GGUF has no name for its base; take vLLM")
        return cls(path=path / GGUF, card=card)

    def body(self, query: Query, options: Options) -> dict[str, Any]:
        """A plain completion: the prompt of training around the query, greedy unless the client says else.

        A classification can say nothing but one of its labels.
        """
        assert self.card is not None and self.card.prompt is not None
        fields, card = options.fields, self.card
        body = {name: fields[name] for name in _PASSED if fields.get(name) is not None}
        body.setdefault("temperature", 0.0)
        body |= {
            "prompt": self.card.prompt.replace(PLACE, query.text),
            "max_tokens": min(options.max_tokens or card.max_tokens, card.max_tokens),
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
        }
        if options.wants_logprobs:
            body["logprobs"] = max(int(fields.get("top_logprobs") or 0), _N_ALTERNATIVES)
        if card.labels:
            body["grammar"] = "root ::= " + " | ".join(_quoted(" " + label) for label in card.labels)
        return body


def _quoted(text: str) -> str:
    """A literal of llama.cpp's grammars."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
