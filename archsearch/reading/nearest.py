"""The one hint for a mistyped name, wherever a name is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType


def did_you_mean(
    name: object, known: Iterable[str], *, aliases: Mapping[str, str] = MappingProxyType({}), most: int = 1
) -> str:
    """`did you mean NAME?` with up to `most` names of `known` that are spelled like `name`, or "" where none is.

    Case does not count, nor whether - or _ is written. `aliases` are other spellings, with the name that each proposes.
    """
    if not isinstance(name, str):
        return ""
    spellings = {_spelling(each): each for each in known}
    spellings = {_spelling(alias): proposal for alias, proposal in aliases.items()} | spellings
    close = get_close_matches(_spelling(name), spellings, n=2 * most, cutoff=0.55)
    names = list(dict.fromkeys(spellings[spelling] for spelling in close))[:most]
    return f"did you mean {' or '.join(names)}?" if names else ""


def _spelling(name: str) -> str:
    return name[:100].lower().replace("-", "_")
