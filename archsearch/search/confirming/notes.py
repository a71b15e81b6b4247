"""What a reader of a confirmation's figures has to know beside them, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.experiment import Ledger, TrialState
from archsearch.experiment.records import spell
from archsearch.experiment.summary import EXPERIENCE
from archsearch.experiment.winner import CONFIRMED
from archsearch.guests.either import change
from archsearch.search.confirming.random_search import looks_at_test
from archsearch.search.confirming.verdict import Row, failures
from archsearch.space.space import SearchSpace


def earlier_looks(ledger: Ledger, seeds: int, folds: int | None) -> int:
    """How many other numbers of seeds and folds the search was confirmed with before: each was a chance to see a
    difference."""
    before = {(event.data.get("seeds"), event.data.get("folds")) for event in ledger.events_of(CONFIRMED)}
    return len(before - {(seeds, folds)})


def notes_on(
    rows: Sequence[Row],
    order: Sequence[Row],
    winner: Row,
    *,
    space: SearchSpace,
    ledger: Ledger,
    top: int,
    folds: int | None,
    random: bool,
    named: bool,
) -> list[str]:
    """Sentences that a reader of the figures has to know; `order` are the rows as they rank. `top` trials were to be
    compared, over so many `folds`, with `random` search or without it, and with baselines that a person `named`."""
    notes: list[str] = []
    metric, better = winner.objective.label, "higher" if winner.objective.sense == "max" else "lower"
    if ledger.state != "finished":
        notes.append("the search has not finished, so networks that it may still find are not included")
    learnt = any(note.data.get("sources") for note in ledger.events_of(EXPERIENCE))
    if random and (learnt or ledger.events_of("warm_start")):
        notes.append("the search started from the results of an earlier one; random search did not")
    trials = [row for row in rows if row.contender.kind == "trial"]
    if len(trials) < top:
        notes.append(f"trials of the search that reached a rung: {len(trials)}, not {top}")
    stopped = [row.contender.name for row in trials if row.contender.state != TrialState.FINISHED.value]
    if stopped:
        notes.append(f"fewer than {top} trials finished: the search trained {', '.join(stopped)} to a rung only")
    if space.trainings.parameters and any(row.contender.kind == "baseline" for row in rows):
        notes.append(
            f"networks other than trials are trained with the settings of {trials[0].contender.name}, the search's best"
        )
    if len(space.search.objectives) > 1:
        notes.append(f"of the search's objectives, only {metric} is compared here")
    for row in order[: order.index(winner)]:
        if row.contender.kind not in ("trial", "pretrained"):
            notes.append(f"{row.contender.name} has a {better} mean validation {metric} than the winner")
    if random and not any(row.contender.kind == "random" for row in rows):
        notes.append("no trial of random search reached a rung: there is nothing to compare with")
    if not named and not any(row.contender.kind == "baseline" for row in rows):
        notes.append(f"no network of the zoo fits the budget ({space.budget}): choose one with --baseline NAME")
    tuned = [row.contender.training for row in rows if row.contender.kind == "pretrained"]
    if tuned:
        notes.append(f"pretrained networks are fine-tuned with the recipe fine_tuning: {spell(tuned[0])}")
    notes += [f"{row.contender.name}: {text}" for row in rows if (text := change(row.contender.architecture))]
    notes += failures(rows)
    if folds is not None:
        bias = "upwards" if winner.objective.sense == "max" else "downwards"
        notes.append(
            "the search chose its trials by the validation split, whose images are in the folds too: "
            f"their {winner.objective.plural} over the folds are biased {bias}, those of other networks are not"
        )
    looks = [f"trial t{look['trial']:04d} once, at the search's end" for look in looks_at_test(ledger)]
    earlier = {event.data["winner"] for event in ledger.events() if event.kind == CONFIRMED}
    looks += [f"{name} by an earlier confirmation" for name in sorted(earlier - {winner.contender.name})]
    if looks:
        notes.append(f"test {metric} was also measured for {'; '.join(looks)}")
    return notes
