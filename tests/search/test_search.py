"""The search without Ray: real training, real ledger."""

from pathlib import Path

import pytest

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.summary import summarise
from archsearch.search.messages import GoOn, Report, Train
from archsearch.search.objective import TrialWorker
from archsearch.search.search import CRASHES, Search
from archsearch.space import load_space
from archsearch.training.datasets import load_images
from tests.search.local import Silent, drive_locally, tiny


def story(folder: ExperimentFolder) -> list[tuple[object, ...]]:
    """What happened to each trial, without times."""
    with Ledger.read(folder.ledger) as ledger:
        curves = {
            trial.number: [
                (e.epoch, e.metrics["train_loss"], e.metrics["validation_accuracy"])
                for e in ledger.epochs(trial.number)
            ]
            for trial in ledger.trials()
        }
        return [(t.number, t.digest, t.state, t.value, curves[t.number]) for t in ledger.trials()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    space, folder = tiny(tmp_path_factory.mktemp("whole"))
    drive_locally(space, folder)
    return folder


def test_it_ends_with_every_trial_ended_in_budget_and_new(whole: ExperimentFolder) -> None:
    budget = load_space(whole.space_yaml).budget
    with Ledger.read(whole.ledger) as ledger:
        trials = ledger.trials()
        assert len(trials) == 8
        assert all(trial.state.ended for trial in trials)
        assert {TrialState.FINISHED, TrialState.STOPPED} == {trial.state for trial in trials}
        assert len({trial.digest for trial in trials}) == 8
        for trial in trials:
            counted = cost(Architecture.from_dict(dict(trial.architecture)))
            assert budget.admits(counted)
            assert counted.to_dict() == trial.cost
        for trial in trials:
            assert trial.epochs == 3 if trial.state is TrialState.FINISHED else trial.epochs < 3


def test_the_winner_is_the_best_finished_one_tested_once_with_its_weights(whole: ExperimentFolder) -> None:
    with Ledger.read(whole.ledger) as ledger:
        best = ledger.best()
        assert best is not None
        assert best.value == max(t.value for t in ledger.trials(TrialState.FINISHED) if t.value is not None)
        tested = [event for event in ledger.events() if event.kind == "tested"]
    assert [event.trial for event in tested] == [best.number]
    kept = [path.parent.name for path in whole.path.glob("trials/*/weights.safetensors")]
    assert kept == [best.id]
    assert Architecture.from_yaml(whole.best_yaml).digest == best.digest
    said = summarise(whole)["best"]
    assert said["test_accuracy"] == tested[0].data["test_accuracy"]
    assert (said["trial"], said["params"], said["flops"]) == (best.id, best.cost["params"], best.cost["flops"])


def test_the_same_seed_gives_the_same_search(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    drive_locally(space, folder)
    assert story(folder) == story(whole)


def test_another_seed_gives_another_search(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.seed=4", "search.trials=2")
    drive_locally(space, folder)
    assert [row[1] for row in story(folder)] != [row[1] for row in story(whole)[:2]]


@pytest.mark.parametrize("reports", [1, 4, 9, 14])
def test_a_killed_search_resumed_ends_like_one_that_was_not(
    whole: ExperimentFolder, tmp_path: Path, reports: int
) -> None:
    space, folder = tiny(tmp_path)
    drive_locally(space, folder, reports=reports)
    drive_locally(load_space(folder.space_yaml), folder)
    assert story(folder) == story(whole)
    with Ledger.read(folder.ledger) as ledger:
        ended = [event.trial for event in ledger.events() if event.kind in ("finished", "stopped", "failed")]
        assert sorted(ended) == sorted(set(ended)), "a trial ended twice"


def test_a_space_that_is_used_up_ends_the_search_with_a_word(tmp_path: Path) -> None:
    space, folder = tiny(
        tmp_path,
        "space.link=residual",
        "space.block=basic",
        "space.activation=post",
        "space.width=4",
        "space.depth={int: [1, 2]}",
        "training.epochs=1",
    )
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.counts().total == 2
        assert [event.data for event in ledger.events() if event.kind == "exhausted"] == [{"trials": 2}]


def test_a_trial_whose_worker_dies_is_tried_again_and_then_failed(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, watcher=Silent())
        for crash in range(CRASHES):
            instruction = search.respond(Report(kind="ready"))
            assert isinstance(instruction, Train)
            assert (instruction.number, instruction.attempt) == (1, crash + 1)
            search.lost(1, "its worker died")
        assert ledger.trial(1).state is TrialState.FAILED
        assert "crashed" in (ledger.trial(1).reason or "")
        after = search.respond(Report(kind="ready"))
        assert isinstance(after, Train)
        assert after.number == 2


def test_a_worker_that_was_started_anew_says_so_instead_of_going_on(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    assert worker.carry_out(GoOn(number=5)).kind == "lost"


def test_a_trial_that_diverges_fails_with_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "training.learning_rate=100", "training.warmup=0", "search.trials=2")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        failed = ledger.trials(TrialState.FAILED)
        assert all((trial.reason or "").startswith("nan") for trial in failed)
        assert all(trial.state.ended for trial in ledger.trials())
