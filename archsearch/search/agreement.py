"""Whether an experiment's space.yaml still has the settings that its search began with. The ledger keeps that text.

A search that goes on under other settings is another search: what was learned so far may not hold for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.objective import Objective
from archsearch.experiment.suggested import command, command_of, permissions
from archsearch.reading.document import Loc, shorten
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.yaml import read, write

KEY = "space_yaml"  # of the ledger's meta, and of the note
KIND = "space_changed"
TRIALS: Loc = ("search", "trials")
SHOWN = 6  # differences in an error


def refuse_if_changed(
    folder: ExperimentFolder, ledger: Ledger, *, trials: int, force: bool, other_trials: bool = False
) -> None:
    """Raises InputError, with each setting that differs at its position in space.yaml; with `force` the ledger notes
    the difference instead, and what the file says now is what the search is held to. A ledger of an earlier archsearch
    holds no text: then nothing is compared. With `other_trials` search.trials may differ: `set_trials` comes next."""
    recorded = _recorded(ledger)
    current = folder.read_text(folder.space_yaml)
    if recorded is None or recorded == current:
        return
    document = read(folder.space_yaml)
    values, recorded_values = _flat(document.data), _flat(read(recorded).data)
    changed = [loc for loc, value in values.items() if loc not in recorded_values or recorded_values[loc] != value]
    removed = [loc for loc in recorded_values if loc not in values]
    if other_trials:
        changed, removed = ([loc for loc in locs if loc != TRIALS] for locs in (changed, removed))
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
    only_trials = ""
    if changed == [TRIALS]:
        extend = command_of(folder, "resume", "--trials", trials)
        only_trials = f"`{extend}` extends the search to that many trials; "
    summary = Problem(
        message=f"the search space differs from the one that this search began with{more}",
        allowed="the values that it began with",
        hint=f"{only_trials}change them back, or start a new search with `{_warm_start(folder)}`; "
        f"`{command_of(folder, 'resume', '--force')}` continues anyway, and the ledger records it",
        file=str(folder.space_yaml),
    )
    raise InputError(*problems[:SHOWN], summary)


def refuse_another_metric(folder: ExperimentFolder, ledger: Ledger, metric: Objective) -> None:
    """Raises InputError where space.yaml was changed to this metric, another than the search began with: its trials'
    values would be of both."""
    first = ledger.objective
    if (first.name, first.sense) != (metric.name, metric.sense):
        raise refuse(
            f"search.objectives has {metric.name}: {metric.sense}, but the search began with {first.name}",
            allowed=f"{first.name}: {first.sense}",
            hint=f"`{_warm_start(folder)}` starts a search by another metric from these results",
            file=str(folder.space_yaml),
        )


def _warm_start(folder: ExperimentFolder) -> str:
    """The command that begins another search, of the experiment's changed space.yaml, with the experiment's results."""
    return command("run", folder.space_yaml, "--warm-start", folder.argument, *permissions(folder, "run"))


def set_trials(folder: ExperimentFolder, ledger: Ledger, trials: int) -> None:
    """Writes to space.yaml how many trials there are to be in all, and notes the difference in the ledger. Raises
    InputError where so many have begun already. A crash between the two is mended by doing it again."""
    if trials <= ledger.total:
        raise refuse(
            f"{ledger.total} trials have already begun, so a total of {trials} leaves none to start",
            allowed=f"more than {ledger.total}",
            file="--trials",
        )
    text = _with_trials(folder.read_text(folder.space_yaml), trials)
    if text != folder.read_text(folder.space_yaml):
        folder.write(folder.space_yaml, text)
    recorded = _recorded(ledger)
    before = None if recorded is None else _flat(read(recorded).data).get(TRIALS)
    if before != trials:
        difference = f"search.trials: {'nothing' if before is None else before} -> {trials}"
        ledger.note(KIND, {"differences": [difference], "trials": trials, KEY: text})


def trials_in_file(folder: ExperimentFolder) -> int | None:
    """search.trials as space.yaml says it; None where it does not. Raises InputError for a file that is no YAML."""
    trials = _flat(read(folder.space_yaml).data).get(TRIALS)
    return trials if isinstance(trials, int) else None


def _recorded(ledger: Ledger) -> str | None:
    """The text that the search is held to; None in a ledger of an earlier archsearch."""
    changes = ledger.events_of(KIND)
    recorded: str | None = changes[-1].data[KEY] if changes else ledger.meta.get(KEY)
    return recorded


def _with_trials(text: str, trials: int) -> str:
    """The file with another search.trials and nothing else changed; written anew where that word is not in it."""
    document = read(text)
    if (position := document.values.get(TRIALS)) is not None:
        lines = text.splitlines(keepends=True)
        line, start = lines[position.line - 1], position.column - 1
        lines[position.line - 1] = line[:start] + re.sub(r"[^\s,}]+", str(trials), line[start:], count=1)
        edited = "".join(lines)
        if _flat(read(edited).data) == {**_flat(document.data), TRIALS: trials}:
            return edited
    return write({**document.data, "search": {**(document.data.get("search") or {}), "trials": trials}})


def _flat(data: Any, loc: Loc = ()) -> dict[Loc, Any]:
    """Every value that is no mapping, by its location."""
    if not isinstance(data, Mapping) or not data:
        return {loc: data}
    return {inner: leaf for key, value in data.items() for inner, leaf in _flat(value, (*loc, key)).items()}


def _shown(values: Mapping[Loc, Any], loc: Loc) -> str:
    return shorten(values[loc]) if loc in values else "nothing"
