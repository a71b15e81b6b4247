"""Confirming a search: who is compared, how the winner is chosen, what is looked at when, and going on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import archsearch
from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.experiment import DriverRunning, ExperimentFolder, Ledger, TrialState
from archsearch.experiment.predictions import Predictions, predictions_of
from archsearch.experiment.records import Event
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import winner_of
from archsearch.reading.errors import InputError
from archsearch.search.confirming.confirm import Plan, confirm
from archsearch.search.confirming.contenders import FAMILIES, Contender, baseline, baselines, spent, top_of
from archsearch.search.confirming.detection import power, precision
from archsearch.search.confirming.random_search import random_best, random_space
from archsearch.search.confirming.retraining import Retraining
from archsearch.search.confirming.runs import Outcome, Run, new_seeds
from archsearch.search.confirming.slots import Slots, slots
from archsearch.search.confirming.verdict import Row, choose, differences, ranked
from archsearch.search.deciding.messages import Ready, Rest
from archsearch.search.deciding.search import Search
from archsearch.search.running.worker import TrialWorker
from archsearch.search.session import create
from archsearch.space.loading import load_space
from archsearch.space.placement import PLACED
from archsearch.space.settings import DataSettings, ResourceSettings, TrainingSettings
from archsearch.tracking.retrained import retrained
from tests.search.local import Silent, drive_locally, finished, tiny

SPACES = Path(__file__).parents[2] / "search_spaces"


class Told(Silent):
    """An observer that records what it is told, and interrupts after some runs."""

    def __init__(self, *, interrupt_after: int | None = None) -> None:
        self.left: int | None = None
        self.done = 0
        self.epochs: list[tuple[str, int, int]] = []
        self.outcomes: list[Outcome] = []
        self.phases: list[str] = []
        self._enough = interrupt_after

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def planned(self, runs: Sequence[Run], *, done: int, networks: int) -> None:
        self.left, self.done = len(runs), done

    def epoch(self, run: Run, epoch: int, accuracy: float) -> None:
        self.epochs.append((run.contender.digest, run.seed, epoch))

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self._enough is not None and len(self.outcomes) >= self._enough:
            raise KeyboardInterrupt

    @contextmanager
    def searching(self, space: object, folder: object) -> Any:
        yield self


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search of 2 trials."""
    return finished(tmp_path_factory.mktemp("searched"), "search.trials=2", "training.epochs=2")


@pytest.fixture
def made_up(tmp_path: Path) -> ExperimentFolder:
    """A ledger of an interrupted search: trials that ended in every way, and two that wait to go on."""
    _, folder = tiny(tmp_path, "training.epochs=9")
    widths = iter(range(1, 8))
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        for curve, rung, end in (
            ([0.3, 0.4, 0.5], 3, "stopped"),
            ([0.1] * 8 + [0.6], 0, "finished"),
            ([0.9], 1, "stopped"),
            ([0.1] * 8 + [0.8], 0, "finished"),
            ([0.3, 0.4, 0.7, 0.1], 3, "waiting"),
            ([0.99], 0, "failed"),
            ([0.3, 0.4], 0, "waiting"),
        ):
            width = 4 * next(widths)
            network = Architecture.from_dict(
                {"input": [1, 8, 8], "stem": {"width": 4}, "stages": [{"depth": 1, "width": width}]}
            )
            costs = dict.fromkeys(("params", "flops", "macs", "activations", "memory"), 1)
            trial = ledger.propose(
                choices={}, architecture=network.to_dict(), digest=digest(network), cost=costs, seed=width // 4
            )
            _live(ledger, trial.number, curve, rung, end)
    return folder


def _live(ledger: Ledger, number: int, curve: list[float], rung: int, end: str) -> None:
    ledger.start(number)
    for epoch, accuracy in enumerate(curve, 1):
        ledger.epoch(number, epoch, {"epoch": epoch, "validation_accuracy": accuracy})
        if epoch == rung:
            ledger.pause(number, accuracy, rung=rung)
            if end == "stopped":
                ledger.stop(number, accuracy, "behind")
                return
            ledger.promote(number)
            ledger.start(number, resume_epoch=rung)
    match end:
        case "failed":
            ledger.fail(number, "nan")
        case "finished":
            ledger.finish(number, curve[-1])
        case "waiting":
            ledger.requeue(number, "interrupted")


# ---- who is compared


def test_finished_trials_come_first_and_then_the_highest_rung(made_up: ExperimentFolder) -> None:
    space = load_space(made_up.space_yaml)
    with Ledger.read(made_up.ledger) as ledger:
        found = top_of(ledger, space, 9)
        assert [c.trial for c in found] == [4, 2, 5, 1, 3], "finished, then the rung of 3, then of 1"
        assert [c.trial for c in top_of(ledger, space, 2)] == [4, 2]
        assert [c.score for c in found] == [0.8, 0.6, 0.7, 0.5, 0.9], "at the rung, not behind it"
        assert [c.note for c in found[:3]] == ["", "", "chosen by its rung of 3 of 9 epochs"]
        assert spent(ledger.trials()) == 3 + 9 + 1 + 9 + 4 + 1 + 2
        assert new_seeds(ledger, 3) == [8, 9, 10], "no seed that a trial was trained with"


def test_baselines_fit_the_budget_and_come_from_different_families() -> None:
    space = load_space(SPACES / "resnet_cifar.yaml")
    found = baselines(space, 0)
    assert 1 < len(found) <= 3
    for contender in found:
        entry = zoo.entry(contender.name)
        assert contender.within_budget and contender.cost["flops"] <= 40_000_000 and contender.cost["params"] <= 10**6
        assert contender.digest == digest(entry.architecture), "of the same image and classes: the very network"
        assert entry.family in FAMILIES
    assert len({zoo.entry(c.name).family for c in found}) == len(found)
    flops = [c.cost["flops"] for c in found]
    assert flops == sorted(flops, reverse=True)
    assert min(flops) > 20_000_000, "near the budget"


def test_baselines_take_the_experiments_image_and_classes(tmp_path: Path) -> None:
    space = load_space(SPACES / "digits.yaml")
    found = baselines(space, 0)
    assert found
    for contender in found:
        assert (contender.architecture.input, contender.architecture.classes) == ((1, 8, 8), 10)
        assert contender.cost["flops"] <= 700_000 and contender.cost["params"] <= 60_000
        assert contender.note == "made for 3x32x32"
    assert baselines(load_space(SPACES / "digits.yaml", ["budget.params.max=9k"]), 0) == []
    over = baseline("resnet20_cifar", zoo.get("resnet20_cifar"), space)
    assert (over.within_budget, over.note) == (False, "made for 3x32x32, over the budget")
    with pytest.raises(InputError, match="densenet121 cannot take images of 1x8x8"):
        baseline("densenet121", zoo.get("densenet121"), space)


def test_random_search_is_the_same_search_but_for_sampler_and_seed(searched: ExperimentFolder) -> None:
    ours, theirs = load_space(searched.space_yaml), random_space(searched, 7)
    assert (theirs.search.sampler, theirs.search.trials) == ("random", 7)
    assert theirs.search.seed != ours.search.seed
    assert theirs.search.early_stopping == ours.search.early_stopping
    assert (theirs.parameters, theirs.budget, theirs.training, theirs.data) == (
        ours.parameters,
        ours.budget,
        ours.training,
        ours.data,
    )


def test_random_search_ends_when_its_epochs_are_spent_and_goes_on_no_further(tmp_path: Path) -> None:
    _, experiment = tiny(tmp_path, "training.epochs=2")
    space, folder = random_space(experiment, 7), ExperimentFolder(tmp_path / "random")
    assert space.search.epochs == 7
    create(space, folder, name="tiny-random")
    worker = TrialWorker(load_images(space.data), space.training, threads=1)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), test=False)
        instruction = search.respond(Ready())
        while not isinstance(instruction, Rest):
            instruction = search.respond(worker.carry_out(instruction))
        assert spent(ledger.trials()) == 7
        best = top_of(ledger, space, 1, kind="random")[0]
        assert best.kind == "random" and best.name == f"random's best t{best.trial:04d}"
        assert best.score == max(t.value for t in ledger.trials(TrialState.FINISHED) if t.value is not None)
        assert not [event for event in ledger.events() if event.kind == "tested"]
        again = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), test=False)
        assert isinstance(again.respond(Ready()), Rest)


@pytest.mark.parametrize(
    ("change", "driven"),
    [
        (lambda text: "# a comment\n" + text.replace("\n", "  # another\n", 1), False),
        (lambda text: text.replace("seed: 4", "seed: 5"), True),
        (lambda _: "[", True),
        (lambda _: None, True),
    ],
)
def test_random_search_goes_on_where_its_settings_changed_and_not_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, driven: bool
) -> None:
    space, experiment = tiny(tmp_path, "search.trials=2", "training.epochs=2")
    drive_locally(space, experiment)
    with Ledger.read(experiment.ledger) as ledger:
        random = random_space(experiment, spent(ledger.trials()))
        folder = experiment.random_search
        experiment.confirmation.path.mkdir()
        create(random, folder, name="tiny-random")
        drive_locally(random, folder)
        with Ledger.open(folder.ledger) as sub:
            sub.begin()
            sub.end("finished")
        text = folder.space_yaml.read_text()
        assert "seed: 4" in text
        if (changed := change(text)) is None:
            folder.space_yaml.unlink()
        else:
            folder.space_yaml.write_text(changed)
        drives = []
        monkeypatch.setattr("archsearch.search.session.drive", lambda session, observer: drives.append(session))
        best = random_best(experiment, ledger, load_images(space.data), Told())
    assert best is not None and best.kind == "random"
    assert len(drives) == driven
    assert not driven or folder.space_yaml.read_text() == text


# ---- where it runs


def test_as_many_trainings_at_once_as_the_resources_hold() -> None:
    def given(cores: int, gpus: int, device: str = "auto", **words: Any) -> Slots:
        return slots(ResourceSettings(**words), device, cores=cores, gpus=lambda: gpus)

    assert given(8, 0, cpus_per_trial=2) == Slots(count=4, threads=2, device="cpu")
    assert given(2, 0, cpus_per_trial=8) == Slots(count=1, threads=2, device="cpu")
    assert given(8, 0, cpus_per_trial=1, max_concurrent=3).count == 3
    assert given(8, 1, cpus_per_trial=1, gpus_per_trial=0.25) == Slots(count=4, threads=1, device="cuda")
    assert given(8, 1, cpus_per_trial=1, gpus_per_trial=1.0) == Slots(count=1, threads=1, device="cuda")
    assert given(8, 1, cpus_per_trial=1).device == "cuda"
    share = Event(id=1, time=0.0, kind=PLACED, trial=None, data={"gpus_per_trial": 0.25})
    auto = ResourceSettings()
    assert slots(auto, "auto", [share], cores=8, gpus=lambda: 1) == Slots(count=4, threads=1, device="cuda")
    assert slots(auto, "auto", [share], cores=8, gpus=lambda: 0).device == "cpu", "another machine"
    assert given(8, 1, gpus_per_trial=0.0).device == "cpu", "trials without a share of a GPU ran on the CPU"
    assert given(8, 1, "cpu", cpus_per_trial=2, gpus_per_trial=1.0) == Slots(count=4, threads=2, device="cpu")
    assert given(8, 0, cpus_per_trial=1, gpus_per_trial=1.0) == Slots(count=8, threads=1, device="cpu")


# ---- who wins


def row(kind: Any, number: int, validation: list[float], test: list[float], flops: int = 100, failed: int = 0) -> Row:
    network = Architecture.from_dict({"input": [1, 8, 8], "stages": [{"depth": number}]})
    contender = Contender(
        kind=kind,
        name=f"{kind}{number}",
        architecture=network,
        digest=digest(network),
        key=digest(network),
        cost=MappingProxyType({"params": 1, "flops": flops}),
        within_budget=True,
        trial=number if kind == "trial" else None,
    )
    results = {
        seed: {"validation": {"accuracy": one}, "test": {"accuracy": other}}
        for seed, (one, other) in enumerate(zip(validation, test, strict=True), 1)
    }
    return Row(contender=contender, results=results, failed={9 + k: "nan" for k in range(failed)})


def test_the_winner_is_the_trial_of_the_highest_mean_validation_accuracy() -> None:
    rows = [
        row("trial", 1, [0.80, 0.82, 0.81], [0.99, 0.98, 0.99]),
        row("trial", 2, [0.70, 0.96, 0.83], [0.10, 0.11, 0.10]),
        row("trial", 3, [0.95, 0.95, 0.95], [0.5, 0.5, 0.5], failed=1),
        row("random", 4, [0.9, 0.9, 0.9], [0.9, 0.9, 0.9]),
        row("baseline", 5, [0.5, 0.5, 0.5], [0.9, 0.9, 0.9]),
    ]
    winner = choose(rows)
    assert winner is rows[1], "by the mean on validation; test has no part, and a failed seed comes behind"
    assert [r.contender.name for r in ranked(rows)] == ["random4", "trial2", "trial1", "baseline5", "trial3"]
    assert winner.best_seed == 2
    assert winner.values("test") == {}, "unseen until somebody looks"
    for other in rows:
        other.seen = True
    leads = {(d.row.contender.name, d.reference.contender.name): d for d in differences(rows, winner)}
    assert set(leads) == {("trial2", "baseline5"), ("trial1", "random4")}, "random's first, and the search's first"
    lead = leads["trial2", "baseline5"]
    assert lead.validation is not None and lead.validation.mean == pytest.approx(0.33)
    assert lead.test is not None and lead.test.mean == pytest.approx(-0.7967, abs=1e-4)
    assert lead.told_apart, "by the test split, where the seeds agree"
    assert lead.validation.p is not None and lead.validation.p > 0.01
    assert lead.p == pytest.approx(4 * (lead.test.p or 0)), "the smallest of four comparisons: of all with the winner"
    other = leads["trial1", "random4"]
    assert other.test is not None and other.p == pytest.approx(3 * (other.test.p or 0)) and other.told_apart
    again = {d.reference.contender.name: d.p for d in differences(rows, winner, looks=2)}
    assert again == {"baseline5": pytest.approx(2 * (lead.p or 0)), "random4": pytest.approx(2 * (other.p or 0))}
    assert choose([rows[3]]) is None


def test_of_two_seeds_nothing_is_significant() -> None:
    rows = [row("trial", 1, [0.9, 0.91], [0.9, 0.91]), row("baseline", 2, [0.1, 0.1], [0.1, 0.1])]
    rows[0].seen = rows[1].seen = True
    (lead,) = differences(rows, rows[0])
    assert (lead.p, lead.told_apart) == (None, False)
    assert lead.test is not None and lead.test.low is None and lead.test.values == pytest.approx((0.8, 0.81))
    assert power([lead], rows) is None
    assert "no lead is significant; --seeds 3 or more" in precision(None, 2)[0]
    assert precision(None, 3) == []


def test_more_seeds_are_offered_where_a_lead_is_nearly_detected() -> None:
    def detects(*seeds: float) -> tuple[dict[str, Any], str]:
        rows = [row("trial", 1, list(seeds), list(seeds)), row("baseline", 2, [0.5] * len(seeds), [0.5] * len(seeds))]
        for each in rows:
            each.seen = True
        found = power(differences(rows, rows[0]), rows)
        assert found is not None
        return found, precision(found, len(seeds))[0]

    near, sentence = detects(0.52, 0.53, 0.54)
    assert (near["seeds"], near["comparisons"], near["more_seeds"]) == (3, 1, None), "it is significant"
    near, sentence = detects(0.50, 0.52, 0.51)
    assert near["deviation"] == pytest.approx(0.01) and near["lead"] == pytest.approx(0.0326, abs=1e-4)
    assert near["more_seeds"] == 10, "one deviation"
    assert sentence.startswith("3 seeds detect a lead of 3.26 points in 80% of cases, at the spread measured here and")
    assert sentence.endswith(
        "; --seeds 10 would detect a lead as large as one measured here, and continues from these trainings"
    )
    far, sentence = detects(0.47, 0.53, 0.501)
    assert far["more_seeds"] is None and "--seeds" not in sentence


def test_of_equals_the_cheaper_one_wins() -> None:
    rows = [row("trial", 1, [0.9], [0.9], flops=200), row("trial", 2, [0.9], [0.9], flops=100)]
    assert choose(rows) is rows[1]


# ---- the whole of it


def test_an_interrupted_confirmation_goes_on_with_what_is_whole(searched: ExperimentFolder) -> None:
    space = load_space(searched.space_yaml)
    images = load_images(space.data)
    named = [baseline("densenet7_12_cifar", zoo.get("densenet7_12_cifar"), space)]
    plan = Plan(folder=searched, top=3, seeds=2, named=named, random=False, processes=1)
    first = Told(interrupt_after=2)
    with pytest.raises(KeyboardInterrupt):
        confirm(plan, images, first)
    assert (first.left, first.done) == (6, 0)
    assert first.phases[1].startswith(
        "plan: 2 trials of the search, 1 to compare with, each with 2 new seeds: 6 trainings of 2 epochs; about "
    )
    assert summarise(searched)["best"]["of"] == "search", "nothing is chosen yet"
    runs = searched.path / "confirm" / "runs"
    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*/weights.safetensors")}
    assert len(kept) == 2
    for path in runs.glob("*/result.json"):
        assert json.loads(path.read_text())["test"] is None
    assert not searched.is_driven()
    damaged, whole = sorted(kept)
    weights = damaged.read_bytes()
    damaged.write_bytes(weights[:-1])

    second = Told()
    document = confirm(plan, images, second)
    assert (second.left, second.done) == (5, 1)
    assert whole.stat().st_mtime_ns == kept[whole], "what is there and whole is used"
    assert damaged.read_bytes() == weights, "the same training, bit for bit"
    assert {epoch for _, _, epoch in second.epochs} == {1, 2}
    check(document, searched, images)
    assert "trials of the search that reached a rung: 2, not 3" in document["notes"]
    assert not any("has not finished" in note for note in document["notes"])
    with Ledger.read(searched.ledger) as ledger:
        noted = [event for event in ledger.events() if event.kind == "confirmed"]
        assert ledger.state == "finished"
    assert [event.data["winner"] for event in noted] == [document["winner"]]

    third = Told()
    assert confirm(plan, images, third) == document
    assert (third.left, third.done, third.outcomes) == (0, 6, [])
    _crafted_results_are_refused(plan, images, runs, document)
    with Ledger.read(searched.ledger) as ledger:
        assert len([event for event in ledger.events() if event.kind == "confirmed"]) == 1, "nothing new: no new note"


def _crafted_results_are_refused(plan: Plan, images: Any, runs: Path, document: dict[str, Any]) -> None:
    """What would be gone on from, but holds what archsearch does not write; the files are as they were afterwards."""
    winner = next(row for row in document["rows"] if row["winner"])
    run = Path(winner["runs"][0]["folder"])
    result, weights = run / "result.json", run / "weights.safetensors"
    text, whole, network = result.read_text(), weights.read_bytes(), (run / "model.yaml").read_text()
    for field, value in (("validation", []), ("seconds", "x"), ("test", 1), ("precision", "int8"), ("folder", None)):
        result.write_text(json.dumps({**json.loads(text), field: value}))
        with pytest.raises(InputError, match=f"result.json: the training is damaged: its {field}"):
            confirm(plan, images, Told())
    unseen = {**json.loads(text), "test": None}
    digest_of_none = {"sha256": hashlib.sha256(b"none").hexdigest()}
    result.write_text(json.dumps({**unseen, "weights": digest_of_none}))
    weights.write_bytes(b"none")
    with pytest.raises(InputError, match=r"weights.safetensors: these are not the network's weights"):
        confirm(plan, images, Told())
    weights.write_bytes(whole)
    result.write_text(json.dumps(unseen))
    (run / "model.yaml").write_text(network.replace("width: 4", "width: 8", 1))
    assert (run / "model.yaml").read_text() != network
    with pytest.raises(InputError, match=r"model.yaml: this is not the network recorded in result.json"):
        confirm(plan, images, Told())
    (run / "model.yaml").write_text(network)
    result.write_text(text)


def check(document: dict[str, Any], folder: ExperimentFolder, images: Any) -> None:
    """The figures are those of the runs, the winner's alone among the trials is tested, and its files are there."""
    from archsearch.network import build
    from archsearch.training.checkpoint import weights_from_bytes
    from archsearch.training.loop import Training

    place = folder.path / "confirm"
    assert document == json.loads((place / "confirm.json").read_text())
    assert (document["state"], document["seeds"]) == ("confirmed", [1, 2])
    trials = [r for r in document["rows"] if r["kind"] == "trial"]
    winner = next(r for r in document["rows"] if r["winner"])
    assert winner["validation"]["mean"] == max(r["validation"]["mean"] for r in trials)
    for listed in document["rows"]:
        results = [json.loads((Path(run["folder"]) / "result.json").read_text()) for run in listed["runs"]]
        assert [result["seed"] for result in results] == [1, 2]
        accuracies = [result["validation"]["accuracy"] for result in results]
        assert listed["validation"]["mean"] == pytest.approx(sum(accuracies) / 2)
        assert listed["validation"]["n"] == 2
        looked = listed["winner"] or listed["kind"] != "trial"
        assert [result["test"] is not None for result in results] == [looked, looked]
        assert (listed["test"] is not None) == looked
    lead = document["differences"][0]
    assert (lead["of"], lead["over"]) == (winner["name"], "densenet7_12_cifar")
    other = next(r for r in document["rows"] if r["name"] == "densenet7_12_cifar")
    assert lead["test"]["mean"] == pytest.approx(winner["test"]["mean"] - other["test"]["mean"])
    network = Architecture.from_yaml(place / "best.yaml")
    assert digest(network) == winner["digest"]
    model = build(network)
    model.load_state_dict(weights_from_bytes((place / "weights.safetensors").read_bytes()))
    found = Training(model, images, TrainingSettings(device="cpu"), seed=0, threads=1).evaluate("test")
    run = next(r for r in winner["runs"] if r["seed"] == document["weights_of_seed"])
    assert found.accuracy == run["test"]["accuracy"]
    with Ledger.read(folder.ledger) as ledger:
        outputs = predictions_of(folder, ledger, winner_of(folder, ledger))
    assert isinstance(outputs, Predictions), "beside the weights handed over lies what they output"
    split = outputs.splits["test"]
    assert (split.scores.argmax(1) == images.test.labels).mean() == pytest.approx(found.accuracy)
    assert any("at the search's end" in note for note in document["notes"])
    best, trial = summarise(folder)["best"], winner["trial"]
    assert (best["of"], best["trial"], best["seeds"]) == ("confirm", document["winner"], 2)
    assert (best["value"], best["test_accuracy"]) == (winner["validation"]["mean"], winner["test"]["mean"])
    assert folder.best_yaml.read_text() == (place / "best.yaml").read_text(), "there is one winner"
    with Ledger.read(folder.ledger) as ledger:
        own = ledger.best()
    assert digest(Architecture.from_yaml(folder.best_of_search)) == own.digest
    experiment = archsearch.open(folder.path)
    assert experiment.best.number == trial and digest(experiment.architecture) == winner["digest"]
    state = experiment.weights()
    assert all(bool((state[name] == tensor).all()) for name, tensor in model.state_dict().items())


def test_a_winner_by_cross_validation_is_trained_on_the_usual_split_and_tested_once(
    searched: ExperimentFolder, tmp_path: Path
) -> None:
    folder = ExperimentFolder(Path(shutil.copytree(searched.path, tmp_path / "copy", symlinks=True)))
    shutil.rmtree(folder.confirmation.path, ignore_errors=True)
    space = load_space(folder.space_yaml)
    images = load_images(space.data)
    named = [baseline("densenet7_12_cifar", zoo.get("densenet7_12_cifar"), space)]
    plan = Plan(folder=folder, top=2, seeds=1, named=named, random=False, processes=1, folds=3)
    first = Told(interrupt_after=4)
    with pytest.raises(KeyboardInterrupt):
        confirm(plan, images, first)
    assert (first.left, first.done) == (9, 0), "three networks on three folds"
    assert "each with 1 new seed on each of 3 folds, then the winner and its rivals on the usual split: at most 11" in (
        next(text for text in first.phases if text.startswith("plan: "))
    )
    second = Told()
    document = confirm(plan, images, second)
    assert (second.left, second.done) == (2, 0), "the winner and the network that it is compared with"
    assert len(second.outcomes) == 5 + 2, "four were trained before the interruption"
    assert (document["folds"], document["seeds"]) == (3, [1])
    trials = [row for row in document["rows"] if row["kind"] == "trial"]
    winner = next(row for row in document["rows"] if row["winner"])
    for listed in document["rows"]:
        crossed = [run for run in listed["runs"] if "fold" in run]
        accuracies = [run["validation"]["accuracy"] for run in crossed]
        assert [run["fold"] for run in crossed] == [1, 2, 3]
        assert [run["test"] for run in crossed] == [None] * 3, "no fold's training is tested"
        assert listed["validation"]["values"] == pytest.approx(accuracies) and listed["validation"]["n"] == 3
        usual = [run for run in listed["runs"] if "fold" not in run]
        compared = listed["winner"] or listed["kind"] == "baseline"
        assert len(usual) == compared and (listed["test"] is not None) == compared
        assert all(run["test"] is not None for run in usual)
        digests = {json.loads((Path(run["folder"]) / "result.json").read_text())["data"]["digest"] for run in crossed}
        assert len(digests) == 3 and images.digest not in digests, "each fold has other images"
    assert winner["validation"]["mean"] == max(listed["validation"]["mean"] for listed in trials)
    assert document["state"] == "confirmed" and document["weights_of_seed"] == 1
    assert "with 1 seed on each of 3 folds of the training and validation images" in document["chosen"]
    assert any("whose images are in the folds too" in note for note in document["notes"])
    best = summarise(folder)["best"]
    assert (best["folds"], best["value"]) == (3, winner["validation"]["mean"])
    (lead,) = document["differences"]
    other = next(listed for listed in document["rows"] if listed["kind"] == "baseline")
    assert lead["validation"]["values"] == pytest.approx(
        [a - b for a, b in zip(winner["validation"]["values"], other["validation"]["values"], strict=True)]
    )
    third = Told()
    assert confirm(plan, images, third) == document
    assert (third.outcomes, third.done) == ([], 2)
    with Ledger.read(folder.ledger) as ledger:
        names = sorted(training.name for training in retrained(folder, ledger) if training.key.startswith("confirm"))
    assert len(names) == 11 and f"confirm {winner['name']} seed 1 fold 2 of 3" in names
    assert f"confirm {winner['name']} seed 1" in names


def test_the_choice_over_folds_is_final() -> None:
    rows = [row("trial", 1, [], []), row("trial", 2, [], [])]
    for each, accuracies in zip(rows, ([0.7, 0.8, 0.9], [0.9, 0.9, 0.9]), strict=True):
        each.folds = {(fold, 4): {"validation": {"accuracy": value}} for fold, value in enumerate(accuracies, 1)}
    winner = choose(rows)
    assert winner is rows[1] and winner.interval("test") is None
    winner.failed[4] = "nan"
    assert choose(rows) is rows[1], "a failure on the usual split changes no choice"
    winner.failed_folds[2, 5] = "nan"
    assert choose(rows) is rows[0], "one on a fold does, as one of a seed"
    interval = rows[0].interval("validation")
    assert interval is not None and interval.mean == pytest.approx(0.8)
    assert interval.half == pytest.approx(4.3027 * 0.1 * (1 / 3 + 1 / 2) ** 0.5, rel=1e-4), "Nadeau and Bengio"
    rows[0].folds[1, 5] = {"validation": {"accuracy": 0.9}}
    assert rows[0].by_fold() == pytest.approx({1: 0.8, 2: 0.8, 3: 0.9}), "seeds of a fold are averaged"


def test_a_training_that_diverges_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    data = DataSettings(limit=100)
    images = load_images(data)
    settings = TrainingSettings(epochs=2, batch_size=16, learning_rate=100.0, warmup=0.0)
    runs = []
    for norm in ("none", "batch"):
        network = Architecture.from_dict(
            {"input": [1, 8, 8], "stem": {"width": 4}, "stages": [{"depth": 3, "width": 8, "block": {"norm": norm}}]}
        )
        contender = Contender(
            kind="trial", name=norm, architecture=network, digest=digest(network), key=norm, cost={}, within_budget=True
        )
        runs.append(Run(contender=contender, seed=1, folder=tmp_path / norm))
    with Retraining(images, settings, Slots(count=1, threads=1, device="cpu"), Told()) as retraining:
        found = {outcome.run.folder.name: outcome for outcome in retraining.train(runs)}
    assert (found["none"].failed or "").startswith("nan: the training loss is")
    assert found["batch"].result is not None


def test_an_experiment_that_is_driven_is_left_alone(searched: ExperimentFolder) -> None:
    plan = Plan(folder=searched, top=1, seeds=1, named=[], random=False)
    images = load_images(load_space(searched.space_yaml).data)
    with searched.driver_lock(), pytest.raises(DriverRunning):
        confirm(plan, images, Told())


def test_a_search_without_a_finished_trial_is_refused(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path)
    plan = Plan(folder=folder, top=1, seeds=1)
    with pytest.raises(InputError, match="no trial of tiny has finished") as refused:
        confirm(plan, load_images(space.data), Told())
    assert "archsearch resume" in str(refused.value)
    assert not plan.files.path.exists()
