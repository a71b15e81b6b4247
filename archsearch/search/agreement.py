"""Whether an experiment's space.yaml still has the settings that its search began with. The ledger keeps that text.

A search that goes on under other settings is another search: what was learned so far may not hold for it.
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
SHOWN = 6  # differences in an error


def refuse_if_changed(folder: ExperimentFolder, ledger: Ledger, *, trials: int, force: bool) -> None:
    """Raises InputError, with each setting that differs at its position in space.yaml; with `force` the ledger notes
    the difference instead, and what the file says now is what the search is held to. A ledger of an earlier archsearch
    holds no text: then nothing is compared."""
    changes = ledger.events_of(KIND)
    recorded = changes[-1].data[KEY] if changes else ledger.meta.get(KEY)
    current = folder.space_yaml.read_text()
    if recorded is None or recorded == current:
        return
    document = read(folder.space_yaml)
    values, recorded_values = _flat(document.data), _flat(read(recorded).data)
    changed = [loc for loc, value in values.items() if loc not in recorded_values or recorded_values[loc] != value]
    removed = [loc for loc in recorded_values if loc not in values]
    if not changed and not removed:
        return  # comments, or another order
    differences = {
        loc: f"{'.'.join(map(str, loc))}: {_shown(recorded_values, loc)} -> {_shown(values, loc)}"
        for loc in (*changed, *removed)
    }
    if force:
        ledger.note(KIND, {"differences": list(differences.values()), "trials": trials, KEY: current})
        return
    problems = [document.problem(loc, text) for loc, text in differences.items()]
    more = f", and {len(problems) - SHOWN} more differences" if len(problems) > SHOWN else ""
    summary = Problem(
        message=f"the search space is not the one that this search began with{more}",
        allowed="the words that it began with",
        hint="change them back, or begin a new search with `archsearch run --warm-start`; "
        "`archsearch resume --force` goes on all the same, and the ledger says so",
        file=str(folder.space_yaml),
    )
    raise InputError(*problems[:SHOWN], summary)


def _flat(data: Any, loc: Loc = ()) -> dict[Loc, Any]:
    """Every value that is no mapping, by its location."""
    if not isinstance(data, Mapping) or not data:
        return {loc: data}
    return {inner: leaf for key, value in data.items() for inner, leaf in _flat(value, (*loc, key)).items()}


def _shown(values: Mapping[Loc, Any], loc: Loc) -> str:
    return shorten(values[loc]) if loc in values else "nothing"
