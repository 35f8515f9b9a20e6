"""`student.json`: what a trained student is, beside its weights in the same folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from suffice.errors import ArtefactError, DataError

CARD: Final = "student.json"
FORMAT: Final = 1


class StudentCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything but the weights."""

    format: int = FORMAT
    kind: str
    """Who answers: "head" (numpy alone), "lora" (a base and an adapter), "hosted" (an endpoint's model)."""
    trainer: str = ""
    """The name by which it was trained."""
    task: str = "classify"
    labels: tuple[str, ...] = ()
    """Of a classification, in the order of the student's outputs."""
    instruction: str = ""
    prompt: str | None = None
    """The template around a query, `{query}` in it."""
    base: str | None = None
    """The model beneath: a folder, or a hosted model's id."""
    licence: str | None = None
    """Of the base, as far as it says."""
    model: str | None = None
    """A hosted student's id."""
    max_length: int = 256
    """Tokens of query and answer together."""
    max_tokens: int = 1
    """Of an answer, as long as the longest one in training."""
    temperature: float = 1.0
    """By which log-probabilities are divided, fitted on validation rows."""
    n_train: int = 0
    n_validation: int = 0
    settings: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    """What training found: loss, validation accuracy, notes."""


def write_card(card: StudentCard, folder: Path) -> None:
    """Last of all files: a folder with a card is complete."""
    scratch = folder / f".part-{CARD}"
    try:
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
        os.replace(scratch, folder / CARD)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", file=str(folder / CARD)) from error


def read_card(folder: Path) -> StudentCard:
    """
    Raises
    ------
    ArtefactError
        If there is none, or not one of this version.
    """
    try:
        card = msgspec.json.decode((folder / CARD).read_bytes(), type=StudentCard)
    except OSError as error:
        raise ArtefactError(f"no student in {folder}: `suffice distill train` makes one") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{folder / CARD} is no student: {error}; train it again") from error
    if card.format != FORMAT:
        raise ArtefactError(f"{folder / CARD} has format {card.format}, wanted {FORMAT}: train it again")
    return card
