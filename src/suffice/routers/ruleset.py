"""Rules of the user's own: for which queries which arms may answer, whatever anybody predicts.

A rule is a hard constraint. All rules that match a query hold together; where they leave no arm, the
query is refused rather than sent somewhere it must not go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from suffice.errors import ConfigError
from suffice.types import BoolArray, Query

_MAX_SEARCHED: Final = 20_000
"""Characters of a text that are searched, half from either end: bounds what an expression can cost."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a rule applies: everything that is given must hold; nothing given always holds."""

    keywords: tuple[str, ...] = ()
    """Any of these words or phrases stands in the text; case does not matter."""
    regex: str | None = None
    """This expression is found in the text."""
    tags: tuple[str, ...] = ()
    """The query has any of these tags."""
    needs: tuple[str, ...] = ()
    """It needs any of these capabilities: "vision", "tools", "json"."""
    min_characters: int | None = None
    max_characters: int | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For queries of a kind: only these arms, or all but those."""

    when: Condition = Condition()
    use: tuple[str, ...] = ()
    """Only these; empty allows all."""
    avoid: tuple[str, ...] = ()
    name: str = ""
    """For reasons and errors; empty takes its place in the list."""


class RuleSet:
    """Rules made ready to match."""

    def __init__(self, rules: Sequence[Rule | Mapping[str, Any]]) -> None:
        """
        Raises
        ------
        ConfigError
            If a rule has a field that there is not, a value of a wrong type, an expression that does not
            compile, or names no arm.
        """
        self.rules = tuple(_rule(given, place) for place, given in enumerate(rules, 1))
        self._names = tuple(rule.name or f"rule {place}" for place, rule in enumerate(self.rules, 1))
        self._patterns = tuple(
            _patterns(rule.when, name) for rule, name in zip(self.rules, self._names, strict=True)
        )

    def __len__(self) -> int:
        return len(self.rules)

    def check(self, arms: Collection[str]) -> None:
        """Whether every arm that a rule names exists.

        Raises
        ------
        ConfigError
            If not; an arm spelt wrongly must not turn a constraint into none.
        """
        for rule, name in zip(self.rules, self._names, strict=True):
            for arm in (*rule.use, *rule.avoid):
                if arm not in arms:
                    raise ConfigError(
                        f"{name} names {arm!r}, which is no candidate; there are {', '.join(arms)}"
                    )

    def allowed(self, query: Query, arms: Sequence[str]) -> tuple[BoolArray, tuple[str, ...]]:
        """(K,) which arms may answer, and the names of the rules that matched."""
        may = np.ones(len(arms), np.bool_)
        matched = []
        text = _searched(query.text)
        for rule, name, patterns in zip(self.rules, self._names, self._patterns, strict=True):
            if not _holds(rule.when, patterns, text, query):
                continue
            matched.append(name)
            may &= [(not rule.use or arm in rule.use) and arm not in rule.avoid for arm in arms]
        return may, tuple(matched)


def _rule(given: Rule | Mapping[str, Any], place: int) -> Rule:
    try:
        rule = given if isinstance(given, Rule) else msgspec.convert(given, Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"rule {place}: {error}; a rule has when (keywords, regex, tags, needs, min_characters, "
            "max_characters), use, avoid and name"
        ) from error
    if not rule.use and not rule.avoid:
        raise ConfigError(f"rule {place} names no arm: give `use` or `avoid`")
    return rule


def _patterns(when: Condition, name: str) -> tuple[re.Pattern[str], ...]:
    expressions = []
    if when.keywords:
        either = "|".join(re.escape(word) for word in when.keywords)
        expressions.append(rf"(?i)(?<!\w)(?:{either})(?!\w)")
    if when.regex is not None:
        expressions.append(when.regex)
    try:
        return tuple(re.compile(expression) for expression in expressions)
    except re.error as error:
        raise ConfigError(f"{name}: the regex {when.regex!r} does not compile: {error}") from error


def _holds(when: Condition, patterns: Sequence[re.Pattern[str]], text: str, query: Query) -> bool:
    if when.min_characters is not None and len(query.text) < when.min_characters:
        return False
    if when.max_characters is not None and len(query.text) > when.max_characters:
        return False
    if when.tags and set(when.tags).isdisjoint(query.tags):
        return False
    if when.needs and query.needs.isdisjoint(when.needs):
        return False
    return all(pattern.search(text) for pattern in patterns)


def _searched(text: str) -> str:
    if len(text) <= _MAX_SEARCHED:
        return text
    return text[: _MAX_SEARCHED // 2] + "\n" + text[-_MAX_SEARCHED // 2 :]
