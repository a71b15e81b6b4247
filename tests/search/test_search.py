"""The search without Ray: real training, real ledger."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from archsearch.analysis.ranking import corrected, spearman
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Failure, Ledger, TrialState
from archsearch.experiment.predictions import Predictions, predictions_of
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import winner_of
from archsearch.network import build
from archsearch.search.deciding import messages
from archsearch.search.deciding.failures import ATTEMPTS
from archsearch.search.deciding.messages import (
    Choose,
    EpochTrained,
    GoOn,
    HandOver,
    Measure,
    PrecisionFailed,
    Ready,
    Report,
    Rest,
    RungReached,
    Train,
    TrialFailed,
    Wait,
    Weights,
)
from archsearch.search.deciding.search import Search
from archsearch.search.deciding.weights import KeptWeights
from archsearch.search.proposing.proposals import Proposals
from archsearch.search.running.worker import TrialWorker
from archsearch.space.loading import load_space
from archsearch.training.checkpoint import weights_from_bytes
from archsearch.training.loop import Training
from tests.search.local import Silent, drive_locally, tiny

CRASHED = Failure("crashed", "its worker died")


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
        assert all(
            trial.reason == f"not promoted at the rung of {trial.epochs} epochs"
            for trial in ledger.trials(TrialState.STOPPED)
        )
        assert len({trial.digest for trial in trials}) == 8
        for trial in trials:
            counted = cost(Architecture.from_dict(dict(trial.architecture)))
            assert budget.admits(counted)
            assert load_space(whole.space_yaml).price(counted).to_dict() == trial.cost
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
    assert kept == [best.id] == [path.parent.name for path in whole.path.glob("trials/*/predictions.npz")]
    assert digest(Architecture.from_yaml(whole.best_yaml)) == best.digest
    said = summarise(whole)["best"]
    assert said["test_accuracy"] == tested[0].data["test_accuracy"]
    assert (said["trial"], said["params"], said["flops"]) == (best.id, best.cost["params"], best.cost["flops"])


def test_what_the_winner_outputs_for_each_image_is_kept_from_that_one_look(whole: ExperimentFolder) -> None:
    images = load_images(load_space(whole.space_yaml).data)
    with Ledger.read(whole.ledger) as ledger:
        winner = winner_of(whole, ledger)
        outputs = predictions_of(whole, ledger, winner)
    assert isinstance(outputs, Predictions) and outputs.classes == images.classes
    for name, accuracy in (("validation", winner.value), ("test", winner.test)):
        split = outputs.splits[name]
        assert (split.labels == images.split(name).labels).all()
        assert (split.scores.argmax(1) == split.labels).mean() == pytest.approx(accuracy, abs=1e-6)


def test_the_outputs_of_a_beaten_winner_go_with_its_weights(whole: ExperimentFolder, tmp_path: Path) -> None:
    folder = ExperimentFolder(shutil.copytree(whole.path, tmp_path / "x"))
    space = load_space(folder.space_yaml)
    with Ledger.open(folder.ledger) as ledger:
        beaten = next(t for t in ledger.trials(TrialState.FINISHED) if t.number != ledger.best().number)
        for name in ("weights.safetensors", "predictions.npz"):
            folder.make_trial(beaten.number).joinpath(name).write_bytes(b"x")
        KeptWeights(space, folder, ledger).tidy()
        assert [path.parent.name for path in folder.trials.glob("*/predictions.npz")] == [ledger.best().id]


def test_of_equals_the_lower_number_is_the_winner_though_it_finishes_later_and_has_weights(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trials=2", "search.early_stopping.kind=none", "training.epochs=1")
    metrics = {"epoch": 1, "validation_accuracy": 0.5, "train_loss": 1.0, "seconds": 1.0}
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        first, second = search.respond(Ready()), search.respond(Ready())
        assert isinstance(first, Train) and isinstance(second, Train) and (first.number, second.number) == (1, 2)
        assert search.respond(EpochTrained(number=2, metrics=metrics)) == HandOver(number=2)
        assert isinstance(search.respond(Weights(number=2, weights=b"of the second")), Wait)
        assert search.respond(EpochTrained(number=1, metrics=metrics)) == HandOver(number=1)
        test = search.respond(Weights(number=1, weights=b"of the first"))
        assert isinstance(test, messages.Test) and (test.number, test.weights) == (1, b"of the first")
    assert [path.parent.name for path in folder.path.glob("trials/*/weights.safetensors")] == ["t0001"]


def test_weights_that_cannot_be_read_are_said_and_not_passed_over(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trials=1", "search.early_stopping.kind=none", "training.epochs=1")
    metrics = {"epoch": 1, "validation_accuracy": 0.5, "train_loss": 1.0, "seconds": 1.0}
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        search.respond(Ready())
        search.respond(EpochTrained(number=1, metrics=metrics))
        search.respond(Weights(number=1, weights=b"whole"))
        folder.weights(1).unlink()
        again = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        assert isinstance(again.respond(Ready()), Rest)
        (event,) = ledger.events_of("test_failed")
        assert event.data["reason"].startswith("its weights cannot be read: No such file")


def test_the_same_seed_gives_the_same_search(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    drive_locally(space, folder)
    assert story(folder) == story(whole)


def test_another_seed_gives_another_search(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.seed=4", "search.trials=5")
    drive_locally(space, folder)
    assert [row[1] for row in story(folder)] != [row[1] for row in story(whole)[:5]]


@pytest.mark.parametrize("reports", [1, 3, 5, 8, 11, 14])
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
    assert summarise(folder)["used_up"]


def test_a_trial_whose_worker_dies_is_tried_again_and_then_failed(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        for crash in range(ATTEMPTS["crashed"]):
            instruction = search.respond(Ready())
            assert isinstance(instruction, Train)
            assert (instruction.number, instruction.attempt) == (1, crash + 1)
            search.lost(instruction, CRASHED)
        assert ledger.trial(1).state is TrialState.FAILED
        assert "crashed" in (ledger.trial(1).reason or "")
        after = search.respond(Ready())
        assert isinstance(after, Train)
        assert after.number == 2


def test_a_worker_that_was_started_anew_says_so_instead_of_going_on(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    failure = Failure("crashed", "the worker was restarted")
    assert worker.carry_out(GoOn(number=5)) == TrialFailed(number=5, failure=failure)
    network = Proposals(space).propose(1).architecture.to_dict()
    assert isinstance(worker.carry_out(Train(number=5, attempt=1, architecture=network, seed=0)), EpochTrained)
    other = worker.carry_out(GoOn(number=6))
    assert other == TrialFailed(number=6, failure=failure), "another trial's instruction"
    worker.carry_out(Measure(identity="x", architecture=network, batch=1, precision="float32"))
    assert worker.carry_out(GoOn(number=5)) == TrialFailed(number=5, failure=failure), "it holds that trial no more"


def test_a_trial_that_diverges_fails_with_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "training.learning_rate=100", "training.warmup=0", "search.trials=2")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        failed = ledger.trials(TrialState.FAILED)
        assert all((trial.reason or "").startswith("nan") for trial in failed)
        assert all(trial.state.ended for trial in ledger.trials())


def test_every_trial_pauses_at_its_rungs_and_the_best_half_goes_on(whole: ExperimentFolder) -> None:
    with Ledger.read(whole.ledger) as ledger:
        at = {
            rung: {e.trial: e.data["value"] for e in ledger.events_of("paused") if e.data["rung"] == rung}
            for rung in (1, 2)
        }
        promoted = {rung: {e.trial for e in ledger.events_of("promoted") if e.data["rung"] == rung} for rung in (1, 2)}
        finished = {trial.number: trial.value for trial in ledger.trials(TrialState.FINISHED)}
        shown = summarise(whole)["rungs"]
    assert set(at[1]) == set(range(1, 9))
    assert promoted[1] == set(at[2]) and promoted[2] == set(finished)
    for rung in (1, 2):
        best = sorted(at[rung], key=lambda trial: (-at[rung][trial], trial))[: len(at[rung]) // 2]
        assert set(best) <= promoted[rung]  # and those that were among the best when it was decided
    above = {1: at[2], 2: finished}
    assert [(r["epochs"], r["trials"], r["promoted"], r["n"]) for r in shown] == [
        (rung, len(at[rung]), len(promoted[rung]), len(above[rung])) for rung in (1, 2)
    ]
    for rung in shown:
        both = above[rung["epochs"]]
        wanted = spearman([at[rung["epochs"]][t] for t in both], list(both.values()))
        assert rung["correlation"] == wanted
        of_all = corrected(wanted, list(at[rung["epochs"]].values()), [at[rung["epochs"]][t] for t in both])
        assert rung["corrected"] == pytest.approx(of_all)
    with Ledger.read(whole.ledger) as ledger:
        trained = Counter((event.trial, event.data["epoch"]) for event in ledger.events_of("epoch"))
        assert set(trained.values()) == {1}, "an epoch was trained twice"
        assert {e.data["resume_epoch"] for e in ledger.events_of("started")} == {0, 1, 2}
    assert not list(whole.path.glob("trials/*/state-*")), "a state outlived its trial"


@pytest.mark.parametrize("held", [False, True], ids=["another worker each time", "the same, which still holds it"])
def test_a_trial_goes_on_from_its_pause_bit_for_bit(tmp_path: Path, held: bool) -> None:
    space, _ = tiny(tmp_path, "training.epochs=4", "training.crop_padding=1")
    images = load_images(space.data)
    candidate = Proposals(space).propose(1)
    network = build(candidate.architecture, seed=5)
    whole = [m.to_dict() for m in Training(network, images, space.training, seed=5, threads=1, rungs=(1, 2))]
    other = [m.to_dict() for m in Training(build(candidate.architecture, seed=5), images, space.training, seed=5)]
    assert whole[1]["train_loss"] != other[1]["train_loss"], "the rungs change nothing"

    def go_on(worker: TrialWorker, pause: int | None, state: bytes | None, done: int) -> list[Report]:
        words = {"number": 1, "attempt": done + 1, "architecture": candidate.architecture.to_dict(), "seed": 5}
        reports = [worker.carry_out(Train(**words, rungs=(1, 2), pause=pause, state=state, done=done))]
        while not isinstance(reports[-1], RungReached) and reports[-1].metrics["epoch"] < 4:
            reports.append(worker.carry_out(GoOn(number=1)))
        assert all(report.began_anew is None for report in reports)
        return reports

    state, epochs = None, []
    worker = TrialWorker(images, space.training, threads=1)
    for pause in (1, 2, None):
        if not held:
            worker = TrialWorker(images, space.training, threads=1)
            worker.carry_out(Train(number=7, attempt=1, architecture=candidate.architecture.to_dict(), seed=9))
        before = worker._training
        reports = go_on(worker, pause, state, done=len(epochs))
        assert (worker._training is before) == (held and pause != 1)
        assert [type(r) for r in reports] == ([RungReached] if pause else [EpochTrained, EpochTrained])
        state = reports[-1].state
        epochs += [dict(report.metrics) for report in reports]
    timed = ("seconds", "images_per_second")
    assert [{k: v for k, v in e.items() if k not in timed} for e in epochs] == [
        {k: v for k, v in e.items() if k not in timed} for e in whole
    ]
    weights = weights_from_bytes(worker.carry_out(HandOver(number=1)).weights)
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("harm", ["missing", "cut", "changed"])
def test_a_trial_whose_state_is_lost_begins_anew_and_says_so(
    whole: ExperimentFolder, tmp_path: Path, harm: str
) -> None:
    space, folder = tiny(tmp_path)
    drive_locally(space, folder, reports=5)
    states = sorted(folder.path.glob("trials/*/state-*.safetensors"))
    assert len(states) > 1
    for path in states:
        data = path.read_bytes()
        if harm == "missing":
            path.unlink()
        else:
            path.write_bytes(data[:-9] if harm == "cut" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    drive_locally(space, folder)
    assert story(folder) == story(whole)  # what is trained again comes out as it did
    with Ledger.read(folder.ledger) as ledger:
        lost = ledger.events_of("state_lost")
        assert lost and all(event.data["reason"] == "missing or damaged" for event in lost)
        begun = [e for e in ledger.events_of("started", trial=lost[0].trial) if e.id > lost[0].id]
        assert begun[0].data == {"resume_epoch": 0}


def test_a_worker_that_cannot_use_a_state_begins_anew_and_says_so(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    words = {"architecture": Proposals(space).propose(1).architecture.to_dict(), "number": 1, "attempt": 1}
    sound = worker.carry_out(Train(**words, seed=1, rungs=(1, 2), pause=1))
    anew = worker.carry_out(Train(**words, seed=2, rungs=(1, 2), pause=2, state=sound.state))
    assert "seed" in anew.began_anew and anew.metrics["epoch"] == 1
    assert worker.carry_out(Train(**words, seed=1, rungs=(1, 2), pause=2, state=b"nonsense")).metrics["epoch"] == 1
    assert worker.carry_out(Train(**words, seed=1, rungs=(1, 2), pause=2, state=sound.state)).metrics["epoch"] == 2


def test_an_interrupted_search_keeps_its_pauses(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    drive_locally(space, folder, reports=7)
    with Ledger.open(folder.ledger) as ledger:
        Search(space=space, folder=folder, ledger=ledger, observer=Silent()).interrupted()
        counts = ledger.counts()
        assert (counts.running, counts.stopped) == (0, 0) and counts.paused > 1
        for trial in ledger.trials(TrialState.PAUSED):
            assert (folder.trial(trial.number) / f"state-{trial.rung}.safetensors").is_file()
            assert ledger.best() is None or ledger.best().number != trial.number
    assert summarise(folder)["trials"]["paused"] == counts.paused
    drive_locally(space, folder)
    assert story(folder) == story(whole)


@pytest.mark.parametrize("trials", [1, 2])
def test_a_search_too_small_for_any_quota_still_trains_one_in_full(tmp_path: Path, trials: int) -> None:
    space, folder = tiny(tmp_path, f"search.trials={trials}", "search.early_stopping.reduction=3", "training.epochs=4")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        best = ledger.best()
        assert best is not None and best.epochs == 4
        first = {e.trial: e.data["value"] for e in ledger.events_of("paused") if e.data["rung"] == 1}
        assert first[best.number] == max(first.values())
        assert ledger.counts().stopped == trials - 1
        assert ledger.events_of("tested")


@pytest.mark.parametrize("workers", [2, 5])
def test_with_several_workers_each_trial_ends_once_and_all_go_home(tmp_path: Path, workers: int) -> None:
    space, folder = tiny(tmp_path)
    drive_locally(space, folder, workers=workers)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.counts().ended == ledger.counts().total == 8
        assert ledger.counts().finished >= 2
        ended = [event.trial for event in ledger.events_of("finished", "stopped", "failed")]
        assert sorted(ended) == list(range(1, 9))
        assert len(ledger.events_of("tested")) == 1


def test_without_early_stopping_nothing_pauses(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.early_stopping.kind=none", "search.trials=3")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.counts().finished == 3
        assert not ledger.events_of("paused", "promoted", "correlated")
    assert summarise(folder)["rungs"] == []


def test_brackets_pause_their_trials_at_their_own_rungs(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.early_stopping.brackets=3", "search.trials=9")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        first = {}
        for event in ledger.events_of("paused"):
            first.setdefault(event.trial, (event.data["bracket"], event.data["rung"]))
        unpaused = {trial.number for trial in ledger.trials()} - set(first)
        assert {trial.state for trial in ledger.trials() if trial.number in unpaused} == {TrialState.FINISHED}
    assert set(first.values()) == {(0, 1), (1, 2)}
    assert unpaused
    assert {(r["bracket"], r["epochs"]) for r in summarise(folder)["rungs"]} == {(0, 1), (0, 2), (1, 2)}


def test_a_latency_budget_is_measured_before_a_trial_starts(tmp_path: Path) -> None:
    """The bound is set between the latencies of the space's networks, so that some are refused."""
    space, folder = tiny(tmp_path, "search.trials=4", "budget={latency: {max: 1000ms}}")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        measured = [event.data for event in ledger.events_of("latency")]
        assert len(measured) == 4
        assert [trial.cost["latency"] for trial in ledger.trials()] == [n["latency"]["median_ms"] for n in measured]
    middle = sorted(note["latency"]["median_ms"] for note in measured)[1] * 1.001
    (tmp_path / "tight").mkdir()
    space, folder = tiny(tmp_path / "tight", "search.trials=4", f"budget={{latency: {{max: {middle}}}}}")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        notes = [event.data for event in ledger.events_of("latency")]
        assert len({note["digest"] for note in notes}) == len(notes), "each network is measured once"
        assert all(note["admitted"] == (note["latency"]["median_ms"] <= middle) for note in notes)
        trials = ledger.trials()
        assert all(trial.cost["latency"] <= middle for trial in trials)
        assert [t.digest for t in trials] == [note["digest"] for note in notes if note["admitted"]]
        assert ledger.counts().rejected == len(notes) - len(trials)


def test_with_two_objectives_the_pareto_front_is_kept(tmp_path: Path) -> None:
    changes = ("search.objectives={accuracy: max, flops: min}", "search.early_stopping={kind: none}")
    space, folder = tiny(tmp_path, "search.trials=6", "training.epochs=1", *changes)
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        trials = {t.id: (t.value, -t.cost["flops"]) for t in ledger.trials(TrialState.FINISHED)}
    front = {
        name
        for name, (value, flops) in trials.items()
        if not any(v >= value and f >= flops and (v, f) != (value, flops) for v, f in trials.values())
    }
    kept = {path.parent.name for path in folder.path.glob("trials/*/weights.safetensors")}
    assert kept == front
    assert {row["trial"] for row in summarise(folder)["pareto"]} == front
    for name in front:
        network = build(Architecture.from_yaml(folder.path / "trials" / name / "model.yaml"))
        network.load_state_dict(
            weights_from_bytes((folder.path / "trials" / name / "weights.safetensors").read_bytes())
        )


def test_a_candidate_over_which_a_worker_dies_is_measured_again_but_not_for_ever(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "search.trials=4", "budget={latency: {max: 1000ms}}")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        first = search.respond(Ready())
        assert isinstance(first, Measure)
        for _ in range(2):
            search.lost(first, CRASHED)
            assert search.respond(Ready()) == first
        search.lost(first, CRASHED)
        other = search.respond(Ready())
        assert isinstance(other, Measure) and other.identity != first.identity
        (note,) = [event.data for event in ledger.events_of("latency")]
        assert (note["digest"], note["admitted"], note["reason"]) == (first.identity, False, "crashed: its worker died")


def test_one_worker_at_a_time_finds_out_the_precision_and_the_search_goes_on_whatever_befalls_it(
    tmp_path: Path,
) -> None:
    space, folder = tiny(tmp_path, "training.precision=auto")
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        asked, waiting = search.respond(Ready()), search.respond(Ready())
        assert isinstance(asked, Choose) and isinstance(waiting, Wait)
        for idle in (waiting, None):
            search.lost(idle, CRASHED)
            assert isinstance(search.respond(Ready()), Wait), "the one that was asked is still at it"
        search.lost(asked, CRASHED)
        assert search.respond(Ready()) == asked
        train = search.respond(PrecisionFailed(failure=Failure("oom", "the trial ran out of memory")))
        assert isinstance(train, Train) and train.precision == "float32"
        (note,) = ledger.events_of("precision")
        assert note.data == {"precision": "float32", "reason": "oom: the trial ran out of memory"}
        again = Search(space=space, folder=folder, ledger=ledger, observer=Silent()).respond(Ready())
        assert isinstance(again, Train) and again.precision == "float32", "a resumed search asks nobody"
