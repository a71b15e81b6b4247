"""Proposals: within the budget, new, and the same again from the same ledger."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.architecture.cost import cost
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.search.deciding.messages import Ready, Rest, Wait
from archsearch.search.deciding.search import Search
from archsearch.search.proposing.proposals import LANES, Candidate, Proposals
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.warm_start import carried_results, carry_over
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from tests.search.local import Silent, drive_locally, tiny

TIGHT = "budget={flops: {max: 30k}}"  # about one random network in three fits
WINDOW = "budget={flops: {between: [30k, 40k]}, params: {max: 4k}, memory: {max: 2M}}"


def proposed(space: SearchSpace, count: int) -> list[Candidate]:
    proposals = Proposals(space)
    found = []
    for number in range(1, count + 1):
        candidate = proposals.propose(number)
        if candidate is not None:
            proposals.begins(number, candidate)
            found.append(candidate)
    return found


@pytest.mark.parametrize(
    "sampler", ["auto", "random", "tpe", "evolution", "local_search", "nsga2", "{optuna: 'optuna.samplers:TPESampler'}"]
)
@pytest.mark.parametrize("budget", [TIGHT, WINDOW])
def test_budgets_and_windows_are_kept_and_nothing_is_proposed_twice(tmp_path: Path, sampler: str, budget: str) -> None:
    space, _ = tiny(tmp_path, budget, f"search.sampler={sampler}")
    found = proposed(space, 15)
    assert len(found) == 15
    for candidate in found:
        assert space.budget.admits(space.price(cost(candidate.architecture)))
        assert candidate.price == space.price(cost(candidate.architecture))
    assert len({candidate.digest for candidate in found}) == 15


def test_a_space_that_is_used_up_ends_with_none(tmp_path: Path) -> None:
    words = "{stages: 1, depth: {int: [1, 3]}, width: {choice: [4, 8]}, block: basic}"
    space, _ = tiny(tmp_path, f"space={words}", "budget={flops: {max: 10M}}")
    found = proposed(space, 20)
    assert len(found) == 6, "three depths of two widths"
    assert len({candidate.digest for candidate in found}) == 6


def test_two_spellings_of_one_network_are_proposed_once(tmp_path: Path) -> None:
    """A cardinality above the inner width changes nothing where both are taken to the same width."""
    words = "{stages: 1, depth: 1, width: 4, block: bottleneck, bottleneck_ratio: {choice: [0.25, 0.3]}}"
    space, _ = tiny(tmp_path, f"space={words}")
    assert len(proposed(space, 5)) == 1


def test_a_resumed_search_does_not_miss_the_spellings_that_were_passed_by(tmp_path: Path) -> None:
    """Where trainings vary: the ledger holds the trials alone, and a search that went on from it would else draw from
    other candidates than the one that had passed some by."""
    words = "{stages: 1, depth: {int: [1, 3]}, width: {choice: [4, 8]}, block: bottleneck, " \
            "bottleneck_ratio: {choice: [0.2, 0.22, 0.24, 0.25, 0.26, 0.3]}}"  # fmt: skip
    space, folder = tiny(tmp_path, f"space={words}", "budget={flops: {max: 10M}}", "search.trials=12",
                         "training.learning_rate={choice: [0.1, 0.2]}")  # fmt: skip
    with Ledger.open(folder.ledger) as ledger:
        lasting = Proposals(space)
        for number in range(1, 13):
            resumed = Proposals(space, ledger.trials_as_known(), ledger.epochs())
            found, again = lasting.propose(number), resumed.propose(number)
            assert found is not None
            assert again == found, number
            lasting.begins(number, found)
            ledger.propose(choices=found.choices, architecture=found.architecture.to_dict(), digest=found.digest,
                           cost=found.price.to_dict(), seed=number)  # fmt: skip


def test_the_same_seed_proposes_the_same_and_another_something_else(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path, TIGHT)
    digests = [candidate.digest for candidate in proposed(space, 6)]
    assert [candidate.digest for candidate in proposed(space, 6)] == digests
    (tmp_path / "other").mkdir()
    other, _ = tiny(tmp_path / "other", TIGHT, "search.seed=9")
    assert [candidate.digest for candidate in proposed(other, 6)] != digests


# ---- warm start


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    space, folder = tiny(tmp_path_factory.mktemp("earlier"))
    drive_locally(space, folder)
    return folder


def test_a_warm_start_carries_results_across_added_and_removed_choices(
    tmp_path: Path, earlier: ExperimentFolder
) -> None:
    before = load_space(earlier.space_yaml)
    with Ledger.read(earlier.ledger) as ledger:
        trials = ledger.trials()
    changes = (
        "space.width={choice: [4, 8, 16], each: stage, order: increasing}",  # 12 removed, 16 added
        "space.attention={choice: [none, se]}",  # a new word, which all had at its default
        "budget={flops: {max: 90k}}",
    )
    space, _ = tiny(tmp_path, *changes)
    carried = carry_over(space, earlier)
    wide = [t for t in trials if any(s.get("width") == 12 for s in t.architecture["stages"])]
    dense = [t for t in wide if all(s.get("block", {}).get("link") == "dense" for s in t.architecture["stages"])]
    assert len(carried.results) == len(trials) - len(wide) + len(dense)
    if len(wide) > len(dense):
        assert carried.dropped["width = 12"] == len(wide) - len(dense)
    assert carried.lines()[0].startswith(f"warm start from {earlier.name}: {len(carried.results)} of {len(trials)}")
    proposals = Proposals(space, prior=carried.results)
    first = proposals.propose(1)
    assert first is not None
    assert first.digest in {t.digest for t in trials}, "the best that is known is trained again"
    assert space.budget.admits(first.price)
    assert before.budget != space.budget


def test_the_new_ledger_keeps_what_was_carried(tmp_path: Path, earlier: ExperimentFolder) -> None:
    from archsearch.search.session import create

    space, _ = tiny(tmp_path)
    carried = carry_over(space, earlier)
    assert not carried.dropped
    folder = ExperimentFolder(tmp_path / "warm")
    create(space, folder, name="warm", carried=carried)
    with Ledger.read(folder.ledger) as ledger:
        assert carried_results(ledger) == list(carried.results)
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.counts().total == 8
        assert all(t.state in (TrialState.FINISHED, TrialState.STOPPED) for t in ledger.trials())


def test_a_window_without_any_candidate_is_used_up_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.search.session import create

    monkeypatch.setattr("archsearch.space.many.feasible.PATIENCE", 1 << 14)
    file = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
    space = load_space(file, overrides=["budget={flops: {between: [13001, 13002]}}"])
    folder = ExperimentFolder(tmp_path / "none")
    create(space, folder, name="none")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        said = [search.respond(Ready()) for _ in range(2)]
        assert said == [Wait(), Rest()]
        assert [event.data for event in ledger.events_of("exhausted")] == [{"trials": 0}]


def test_what_the_first_proposals_look_at_is_counted_before_a_worker_asks(tmp_path: Path) -> None:
    from archsearch.search.session import create

    space = load_space(Path(__file__).parents[2] / "search_spaces" / "digits.yaml")
    folder = ExperimentFolder(tmp_path / "early")
    create(space, folder, name="early")
    with Ledger.open(folder.ledger) as ledger:
        feasible = Search(space=space, folder=folder, ledger=ledger, observer=Silent())._candidates._proposals.feasible
        counted = feasible.share()
        assert len(feasible.draw(Bayes().uniform, np.random.default_rng(0))) == Bayes().uniform
        assert feasible.share() == counted


def scored(proposals: Proposals, ledger: Ledger, number: int, candidate: Candidate) -> None:
    """The candidate is trial `number`, which finishes with a made-up accuracy."""
    proposals.begins(number, candidate)
    ledger.propose(choices=candidate.choices, architecture=candidate.architecture.to_dict(), digest=candidate.digest,
                   cost=candidate.price.to_dict(), seed=number)  # fmt: skip
    ledger.start(number)
    score = 0.5 + number % 7 / 20
    ledger.epoch(number, 3, {"validation_accuracy": score})
    ledger.finish(number, score)
    proposals.learn(ledger.trial(number), ledger.epochs(number))


@pytest.mark.parametrize("lanes", [1, 2 * LANES - 1, 3 * LANES])
def test_for_many_lanes_several_are_chosen_at_once_and_for_few_each_from_all_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    space, folder = tiny(tmp_path, "search.sampler=bayes")
    asked, chosen = list[int](), Bayes.several

    def several(self: Bayes, *arguments: Any) -> list[Any]:
        asked.append(arguments[-1])
        return chosen(self, *arguments)

    with Ledger.open(folder.ledger) as ledger:
        proposals, plain = Proposals(space), Proposals(space)
        for number in range(1, 11):
            candidate = proposals.propose(number)
            assert candidate is not None and candidate == plain.propose(number)
            plain.begins(number, candidate)
            scored(proposals, ledger, number, candidate)
            plain.learn(ledger.trial(number), ledger.epochs(number))
        monkeypatch.setattr(Bayes, "several", several)
        digests = set[str]()
        for number in range(11, 17):
            proposals.prepare_next(number, lanes=lanes)
            candidate = proposals.propose(number, lanes=lanes)
            assert candidate is not None and candidate == proposals.candidate(proposals._row(candidate.choices))
            digests.add(candidate.digest)
            if lanes < 2 * LANES or number == 11:
                assert candidate == plain.propose(number), "of several the first is the one that is chosen alone"
                plain.begins(number, candidate)
            if number < 13:  # fewer results than were chosen at once leave what was chosen
                scored(proposals, ledger, number, candidate)
                plain.learn(ledger.trial(number), ledger.epochs(number))
            else:
                proposals.begins(number, candidate)
        assert len(digests) == 6
    if lanes < 2 * LANES:
        assert set(asked) == {1}
    else:
        assert 2 <= asked.count(3) <= 3, "six trials, three at once, and more where two of them are one network"


def test_what_many_lanes_have_found_out_since_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, folder = tiny(tmp_path, "search.sampler=bayes")
    with Ledger.open(folder.ledger) as ledger:
        proposals = Proposals(space)
        for number in range(1, 11):
            candidate = proposals.propose(number)
            assert candidate is not None
            scored(proposals, ledger, number, candidate)
        proposals.prepare_next(11, lanes=2 * LANES)
        before = list(proposals._ahead)
        assert len(before) == 2
        for _ in range(3):
            proposals.learn(ledger.trial(10), ledger.epochs(10))
        assert not proposals._is_recent(2)
        proposals.prepare_next(11, lanes=2 * LANES)
        assert proposals._is_recent(2) and proposals._ahead is not before
