"""Whether an experiment's space.yaml still says what its search began with. The ledger keeps that text.

A search that goes on under other words is another search: what was learned so far may say nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.document import Loc, shorten
from archsearch.reading.errors import InputError, Problem
from archsearch.reading.yaml import read

KEY = "space_yaml"  # of the ledger's meta, and of the note
KIND = "space_changed"
SHOWN = 6  # differences in a message


def refuse_if_changed(folder: ExperimentFolder, ledger: Ledger, *, trials: int, force: bool) -> None:
    """Raises InputError, with each word that differs at its place in space.yaml; with `force` the ledger notes the
    difference instead, and what the file says now is what the search is held to. A ledger of an earlier archsearch
    holds no text: then nothing is compared."""
    changes = ledger.events_of(KIND)
    recorded = changes[-1].data[KEY] if changes else ledger.meta.get(KEY)
    said = folder.space_yaml.read_text()
    if recorded is None or recorded == said:
        return
    now, then = read(folder.space_yaml), _flat(read(recorded).data)
    found = {loc: value for loc, value in _flat(now.data).items() if loc not in then or then[loc] != value}
    gone = [loc for loc in then if loc not in _flat(now.data)]
    if not found and not gone:
        return  # comments, or another order
    told = [f"{_dotted(loc)}: {_before(then, loc)} -> {shorten(value)}" for loc, value in found.items()]
    told += [f"{_dotted(loc)}: {shorten(then[loc])} -> nothing" for loc in gone]
    if force:
        ledger.note(KIND, {"differences": told, "trials": trials, KEY: said})
        return
    problems = [now.problem(loc, text) for loc, text in zip([*found, *gone], told, strict=True)]
    shown = problems[:SHOWN]
    rest = f", and {len(problems) - SHOWN} more differences" if len(problems) > SHOWN else ""
    last = Problem(
        message=f"the search space is not the one that this search began with{rest}",
        allowed="the words that it began with",
        hint="change them back, or begin a new search with `archsearch run --warm-start`; "
        "`archsearch resume --force` goes on all the same, and the ledger says so",
        file=str(folder.space_yaml),
    )
    raise InputError(*shown, last)


def _flat(data: Any, loc: Loc = ()) -> dict[Loc, Any]:
    """Every value that is no mapping, by its path."""
    if not isinstance(data, Mapping) or not data:
        return {loc: data}
    return {at: value for key, inner in data.items() for at, value in _flat(inner, (*loc, key)).items()}


def _before(then: Mapping[Loc, Any], loc: Loc) -> str:
    return shorten(then[loc]) if loc in then else "nothing"


def _dotted(loc: Loc) -> str:
    return ".".join(map(str, loc))
