"""Whether anybody is whom a budget's `only` names. Keys and users may come later: it is told, not refused."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from suffice.budgets import Budget
from suffice.plans.guard import KEYLESS
from suffice.protocols import Store
from suffice.types import Caller

_MOST_SHOWN: Final = 8


class Stranger(NamedTuple):
    """A budget for somebody who is not there."""

    budget: str
    detail: str
    remedy: str


def strangers(budgets: Sequence[Budget], store: Store | None) -> Iterator[Stranger]:
    """The budgets for a key, team or user that is not there.

    Parameters
    ----------
    store : of the keys and records; None: there is none yet
    """
    asked = [
        budget for budget in budgets if budget.only is not None and budget.per in ("key", "team", "user")
    ]
    if not asked:
        return
    keys = [] if store is None else [key for key in store.keys() if key.revoked_at is None]
    teams = {Caller().tenant, *(key.tenant for key in keys)}
    users: set[str] = set()
    if store is not None and any(budget.per == "user" for budget in asked):
        users = {spend.group for spend in store.spend(by="user") if spend.group}
    for budget in asked:
        whom = str(budget.only)
        start = f"the budget {budget.name!r} is for the {budget.per} {whom!r}"
        if budget.per == "team" and whom not in teams:
            remedy = f"correct `only`, or suffice keys create --tenant {shlex.quote(whom)}"
            yield Stranger(budget.name, f"{start}, of which there is no key; {_known(whom, teams)}", remedy)
        elif budget.per == "key" and whom not in (ids := {KEYLESS, *(key.id for key in keys)}):
            remedy = "correct `only`: suffice keys list shows the ids"
            yield Stranger(budget.name, f"{start}, which no valid key has; {_known(whom, ids)}", remedy)
        elif budget.per == "user" and not _is_user(whom, users, teams):
            remedy = "correct `only`, unless that user is still to come: the field `user`, or team/user"
            yield Stranger(budget.name, f"{start}, whom no request named yet; {_known(whom, users)}", remedy)


def _is_user(whom: str, users: Collection[str], teams: Collection[str]) -> bool:
    """A user alone is one of any team; a user's name may hold a slash itself."""
    return whom in users or any(
        whom.startswith(f"{team}/") and whom.removeprefix(f"{team}/") in {"", *users} for team in teams
    )


def _known(whom: str, names: Collection[str]) -> str:
    """The nearest first."""
    near = get_close_matches(whom, names, n=_MOST_SHOWN)
    shown = [*near, *sorted(set(names) - set(near))]
    more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    return f"known: {', '.join(shown[:_MOST_SHOWN]) or 'none yet'}{more}"
