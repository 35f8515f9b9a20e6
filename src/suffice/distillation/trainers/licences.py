"""What the licence of a base model says about students made of it: read, and said aloud.

Not legal advice: a name is looked up in the files beside the weights, and a few words are looked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

_OPEN: Final = ("apache-2.0", "mit", "bsd", "isc", "cc0", "cc-by-4.0", "unlicense")
_FORBIDDING: Final = (
    "non-commercial",
    "noncommercial",
    "non commercial",
    "research only",
    "research-only",
    "-nc-",
    "-nc",
    "mnpl",
    "research license",
    "no-derivatives",
    "-nd-",
)
_WITH_TERMS: Final = {"gemma": "Gemma terms of use", "llama": "Llama community licence"}
_FILES: Final = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "NOTICE", "NOTICE.md")
_FRONT: Final = re.compile(r"^licen[sc]e(?:_name)?:\s*[\"']?([^\"'\n]+)", re.MULTILINE | re.IGNORECASE)
_LOOKED_AT: Final = 20_000


class Licence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a base's licence."""

    name: str | None
    """None: nothing was found."""
    warning: str | None = None


def licence_of(base: str) -> Licence:
    """From the folder of a base: a README's head, a licence file, else its architecture."""
    if base == "tiny":
        return Licence(name="none needed: random weights")
    folder = Path(base).expanduser()
    texts = [_text(folder / name) for name in _FILES]
    said = next((found.group(1).strip() for text in texts if (found := _FRONT.search(text))), None)
    first = next((text.strip().splitlines()[0].strip(" #") for text in texts[1:] if text.strip()), None)
    name = said or first
    words = " ".join([name or "", *texts[1:]]).lower() if not said else said.lower()
    if any(sign in words for sign in _FORBIDDING):
        return Licence(
            name=name,
            warning=f"the licence of {base} ({name}) seems to forbid commercial use or derivatives: do not "
            "serve a student of it where that holds",
        )
    kind = _architecture(folder)
    for sign, terms in _WITH_TERMS.items():
        if sign in words or (name is None and sign in kind):
            return Licence(
                name=name or terms,
                warning=f"{base} comes under the {terms}, which bind students made of it too",
            )
    if name is None:
        return Licence(
            name=None, warning=f"{base} states no licence: find out before you serve a student of it"
        )
    if not any(sign in words for sign in _OPEN):
        return Licence(name=name, warning=f"the licence of {base} is {name}: check that it allows a student")
    return Licence(name=name)


def warn(licence: Licence, say: Callable[[str], None]) -> Licence:
    """Say the warning, if there is one."""
    if licence.warning:
        say(f"licence: {licence.warning}")
    return licence


def _architecture(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text()).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LOOKED_AT)
    except OSError:
        return ""
