"""Trainers: from rows to a folder with a student in it, each by the name that `train.trainer` has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from suffice.distillation.trainers.base import Classes, Course, Trainer
from suffice.distillation.trainers.loop import Progress
from suffice.errors import ConfigError
from suffice.registry import Registry

__all__ = [
    "Classes",
    "Course",
    "Progress",
    "Trainer",
    "available",
    "create",
    "get",
    "registry",
]

_HERE = "suffice.distillation.trainers"
registry = Registry(
    "trainer",
    "suffice.trainers",
    {
        "head": f"{_HERE}.head:HeadTrainer",
        "lora": f"{_HERE}.lora:Lora",
        "kd_offline": f"{_HERE}.kd_offline:OfflineKD",
        "kd_onpolicy": f"{_HERE}.kd_onpolicy:OnPolicyKD",
        "dpo": f"{_HERE}.preference:Preference",
        "hosted": f"{_HERE}.hosted:Hosted",
    },
)


def available() -> tuple[str, ...]:
    """The names of all trainers."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`.

    Raises
    ------
    UnknownName
        If nothing has that name.
    """
    return registry.get(name)


def create(name: str, settings: Mapping[str, Any]) -> Trainer:
    """A trainer with its settings.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.
    """
    kind = get(name)
    try:
        own = msgspec.convert(dict(settings), kind.settings, strict=True)
    except msgspec.ValidationError as error:
        known = ", ".join(kind.settings.__struct_fields__)
        raise ConfigError(f"{error}; the trainer {name!r} knows {known}", key="train.settings") from None
    made: Trainer = kind(own)
    return made
