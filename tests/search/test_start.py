"""Searches that start from a trained network: what candidates inherit, the rung of no epochs, and what is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import archsearch
from archsearch.api.parents import parent_of
from archsearch.api.spaces import load_space
from archsearch.api.starting import expected_parents, starting_parents, with_sources
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.cli.showing.page import page
from archsearch.cli.showing.summary import show
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.summary import summarise
from archsearch.network.build import build
from archsearch.reading.errors import InputError
from archsearch.search.deciding.inheritance import untrained
from archsearch.search.deciding.rungs import Rungs
from archsearch.search.session import create
from archsearch.shrinking.beginning import Parents
from archsearch.shrinking.kept import Inheriting, KeptParent, kept_parents, start_of
from archsearch.space.space import SearchSpace
from archsearch.training.checkpoint import weights_from_bytes, weights_to_bytes
from archsearch.training.feeds.feed import feed_of
from archsearch.training.fit import train_architecture
from archsearch.training.loop import Training
from archsearch.training.losses import classifier_of
from archsearch.training.pretrained import begin
from archsearch.training.run import TrainingRun

from .local import drive_locally

PARENT = Architecture.from_dict(
    {
        "input": [1, 8, 8], "classes": 10, "stem": {"width": 8},
        "stages": [{"depth": 2, "width": 8, "stride": 1}, {"depth": 2, "width": 16}],
    }
)  # fmt: skip
START = {
    "archsearch": 1, "name": "slices", "data": {"name": "digits", "limit": 300, "validation": 0.3},
    "start": {"may": ["drop_blocks", "slice_width"]}, "budget": {"flops": {"max": 300_000}},
    "search": {"trials": 7, "seed": 3, "sampler": "random", "early_stopping": {"reduction": 2}},
    "training": {"epochs": 2, "batch_size": 32, "precision": "float32", "device": "cpu", "learning_rate": 0.02},
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of PARENT, as `archsearch train` leaves it."""
    folder = tmp_path_factory.mktemp("trained") / "parent"
    space = load_space({**START, "start": None, "space": {"stages": 1, "depth": 1, "width": 8}} | {"budget": {}})
    settings = space.training.with_overrides({"epochs": 4, "learning_rate": 0.1})
    train_architecture(PARENT, load_images(space.data), TrainingRun(settings=settings, seed=0), folder)
    return folder


def space_of(weights: Path, **more: object) -> SearchSpace:
    return load_space({**START, "start": {**START["start"], "weights": [str(weights)]}, **more})  # type: ignore[dict-item]


def parents_of(space: SearchSpace, images: ImageSet | None = None) -> tuple[KeptParent, ...]:
    space, images, sources = with_sources(space, images or load_images(space.data), print)
    return starting_parents(space, sources, images, print)


def begun(space: SearchSpace, folder: Path) -> ExperimentFolder:
    experiment = ExperimentFolder(folder)
    create(space, experiment, name="slices", parents=parents_of(space))
    return experiment


def outcome(folder: ExperimentFolder) -> list[object]:
    with Ledger.read(folder.ledger) as ledger:
        scores = [(e.trial, e.metrics["validation_accuracy"]) for e in (*untrained(ledger), *ledger.epochs())]
        return [[(t.state, t.value, t.digest, t.rung) for t in ledger.trials()], scores]


@pytest.fixture(scope="module")
def whole(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    space = space_of(trained)
    folder = begun(space, tmp_path_factory.mktemp("whole") / "experiment")
    drive_locally(space, folder)
    return folder


def test_every_trial_is_scored_before_its_first_epoch_and_the_best_of_them_go_on(whole: ExperimentFolder) -> None:
    with Ledger.read(whole.ledger) as ledger:
        trials, scores = ledger.trials(), {e.trial: e.metrics["validation_accuracy"] for e in untrained(ledger)}
        assert len(trials) == len(scores) == 7 and all(trial.state.ended for trial in trials)
        first = ledger.rungs()[0]
        assert (first.epochs, first.trials) == (0, 7) and 3 <= first.promoted < 7 and first.correlation is not None
        stopped = [trial for trial in trials if not trial.epochs]
        assert len(stopped) == 7 - first.promoted
        assert all(trial.value == scores[trial.number] and not ledger.states(trial.number) for trial in stopped)
        assert max(scores.values()) > max(scores[trial.number] for trial in stopped) - 1e-9
        best = ledger.best()
        assert best is not None and best.epochs == 2 and len(set(scores.values())) > 3


def test_the_same_seed_gives_the_same_search_and_a_killed_one_ends_like_it(
    whole: ExperimentFolder, trained: Path, tmp_path: Path
) -> None:
    space = space_of(trained)
    folder = begun(space, tmp_path / "killed")
    for reports in (3, 5, None):
        drive_locally(space, folder, reports=reports)
    assert outcome(folder) == outcome(whole)


def test_the_network_itself_begins_as_it_was_trained(trained: Path) -> None:
    space, parent = space_of(trained), parent_of(trained, tell=lambda _: None)
    images = load_images(space.data)
    parents = parents_of(space, images)
    assert set(parents[0].importance or ()) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    run = TrainingRun(settings=space.training, seed=1)
    feed = feed_of(images, space.training, torch.device("cpu"))
    training = Parents(parents).training(0, build(PARENT, seed=1), images, run, feed)
    state = training.model.state_dict()
    assert state.keys() == parent.weights.keys()
    assert all(torch.equal(tensor, parent.weights[name]) for name, tensor in state.items())
    assert Parents.untrained(training)["validation_accuracy"] == training.evaluate("validation").accuracy


def test_the_experiment_has_the_weights_and_refuses_others(whole: ExperimentFolder, trained: Path) -> None:
    file = whole.path / "parents" / "0" / "weights.safetensors"
    with Ledger.read(whole.ledger) as ledger:
        (parent,) = kept_parents(whole, ledger)
        assert parent.source == str(trained) and parent.is_parent_of(PARENT)
        content = file.read_bytes()
        try:
            file.write_bytes(weights_to_bytes(build(PARENT).state_dict()))
            with pytest.raises(InputError, match="SHA-256 differs"):
                kept_parents(whole, ledger)
            file.unlink()
            with pytest.raises(InputError, match="cannot be read"):
                kept_parents(whole, ledger)
        finally:
            file.write_bytes(content)


def test_with_a_space_of_its_own_what_is_a_slice_inherits_and_others_begin_anew(trained: Path, tmp_path: Path) -> None:
    words = {
        "stages": 2, "depth": {"int": [1, 3], "each": "stage"}, "stem": {"width": {"same_as": "stage1.width"}},
        "width": {"each": "stage", "choices": [[8], [16, 24]]},
    }  # fmt: skip
    space = space_of(trained, space=words, budget={}, search={"trials": 9, "sampler": "random", "seed": 1})
    parents = parents_of(space)
    inheriting = Inheriting.of(parents, space)
    assert (inheriting.begin, inheriting.scored, inheriting.candidates) == (4, 4, 18)
    assert str(inheriting) == f"4 of 18 candidates begin with weights of {trained}"
    assert Inheriting.of(expected_parents(space, lambda _: None), space) == inheriting
    checked = load_space(space).check(samples=18, probe=False)
    assert checked["start"] == inheriting.to_dict()
    assert "\nstart         4 of 18 candidates begin with weights of" in page(space, checked)
    folder = begun(space, tmp_path / "mixed")
    drive_locally(space, folder)
    with Ledger.read(folder.ledger) as ledger:
        slices = {
            t.number for t in ledger.trials() if parents[0].is_parent_of(Architecture.from_dict(dict(t.architecture)))
        }
        assert {epoch.trial for epoch in untrained(ledger)} == slices
        assert 0 < len(slices) < 9 and ledger.trials(TrialState.FINISHED)


def test_a_classifier_of_other_classes_begins_anew_and_is_not_scored_untrained(trained: Path, tmp_path: Path) -> None:
    space = space_of(trained)
    images = load_images(space.data)
    images = replace(images, classes=(*images.classes, "another"))
    (parent,) = parents_of(replace(space, classes=11), images)
    assert not parent.scored and parent.importance is None and parent.architecture.classes == 11
    run = TrainingRun(settings=space.training, seed=5)
    start = Parents([parent]).start_of(parent.architecture, images, run, tmp_path / "run")
    assert start is not None and start.source == str(trained) and start.origin == parent.origin
    module = build(parent.architecture, seed=5)
    classifier = classifier_of(module)
    assert begin(start, module, seed=5)["replaced"] == [f"{classifier}.weight", f"{classifier}.bias"]


def test_train_begins_a_slice_with_the_weights_that_the_search_gave_it(
    whole: ExperimentFolder, trained: Path, tmp_path: Path
) -> None:
    with Ledger.read(whole.ledger) as ledger:
        trial = next(trial for trial in ledger.trials() if trial.digest != digest(PARENT))
        origin = kept_parents(whole, ledger)[0].origin
        untrained_score = next(e.metrics["validation_accuracy"] for e in untrained(ledger) if e.trial == trial.number)
    child = Architecture.from_dict(dict(trial.architecture))
    (tmp_path / "child.yaml").write_text(child.to_yaml())
    again = archsearch.train(
        tmp_path / "child.yaml", data={"name": "digits", "limit": 300, "validation": 0.3},
        weights=whole.path / "parents" / "0", epochs=1, learning_rate=1e-9, batch_size=32,
        training={"precision": "float32", "device": "cpu"}, progress=False, folder=tmp_path / "again",
    )  # fmt: skip
    started = again.result["start"]
    assert started["origin"].endswith(f", which began with {origin}") and origin
    assert started["replaced"] == [] and started["file"] == str(whole.path / "parents" / "0")
    network = build(child)
    network.load_state_dict(weights_from_bytes((tmp_path / "again" / "start.safetensors").read_bytes()))
    space = space_of(trained)
    begins = Training(network, load_images(space.data), TrainingRun(settings=space.training, seed=0))
    assert begins.evaluate("validation").accuracy == untrained_score
    state, parameters = again.weights(), dict(network.named_parameters())
    assert all(torch.allclose(state[name], parameter, atol=1e-6) for name, parameter in parameters.items())
    with pytest.raises(InputError, match="these are not the weights of"):
        archsearch.train("resnet20_cifar", data="digits", weights=trained, progress=False, folder=tmp_path / "other")


def test_the_summary_suggests_a_training_from_the_same_weights(whole: ExperimentFolder, capsys) -> None:
    assert start_of(whole, PARENT) == whole.path / "parents" / "0"
    assert start_of(whole, PARENT.model_copy(update={"classes": 3})) is None
    show(summarise(whole), as_json=False)
    assert f" --weights {whole.path / 'parents' / '0'}" in capsys.readouterr().out


def test_a_rung_of_no_epochs_lies_below_those_of_a_trial_that_is_scored_untrained() -> None:
    rungs = Rungs(grace=1, reduction=2, epochs=8, brackets=2, scored_untrained=lambda trial: trial != 3)
    assert rungs.levels(1) == (0, 1, 2, 4) and rungs.above(1, 0) == 0 and rungs.above(3, 0) == 1
    rungs.record(1, 0, 0.5)
    assert rungs.above(1, 0) == 1 and rungs.promotion() is None
    plain = Rungs(grace=1, reduction=2, epochs=8, brackets=2)
    assert [rungs.bracket(trial) for trial in range(1, 40)] == [plain.bracket(trial) for trial in range(1, 40)]


@pytest.mark.parametrize(
    ("weights", "text"),
    [(["resnet20_cifar=a.pth", "b"], "2 trained networks without a space"), (["no/such/folder"], "no/such/folder")],
)
def test_what_gives_no_space_is_refused_at_its_line(tmp_path: Path, weights: list[str], text: str) -> None:
    (tmp_path / "space.yaml").write_text(
        f"archsearch: 1\nname: x\ndata: {{name: digits}}\nstart:\n  weights: {weights}\n"
    )
    with pytest.raises(InputError, match=text) as caught:
        load_space(tmp_path / "space.yaml")
    assert caught.value.problems[0].line == 5


def test_a_teacher_that_is_the_parent_needs_one(tmp_path: Path) -> None:
    words = {"stages": 1, "depth": 1, "width": 8}
    with pytest.raises(InputError, match="is parent, without start"):
        load_space(
            {**{k: v for k, v in START.items() if k != "start"}, "space": words, "training": {"teacher": "parent"}}
        )


@pytest.mark.slow
def test_a_real_search_from_weights_goes_on_without_its_source_and_is_exported(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONBREAKPOINT", "")  # Ray sets it, in this process
    (tmp_path / "space.yaml").write_text(
        f"archsearch: 1\nname: real\ndata: {{name: digits}}\nstart: {{weights: [{trained}], may: [drop_blocks]}}\n"
        "search: {trials: 3, finish: none}\ntraining: {epochs: 2, teacher: parent}\nresources: {max_concurrent: 1}\n"
    )
    assert main(["run", "space.yaml"]) == 0
    trained.rename(trained.with_name("gone"))
    try:
        assert main(["resume", "real", "--trials", "4"]) == 0
        assert main(["export", "real", "-o", "bundle"]) == 0
    finally:
        trained.with_name("gone").rename(trained)
    assert "parity" not in capsys.readouterr().err and (tmp_path / "bundle" / "weights.safetensors").is_file()


def test_a_kept_parent_is_written_out_in_words(whole: ExperimentFolder) -> None:
    with Ledger.read(whole.ledger) as ledger:
        parent: KeptParent = kept_parents(whole, ledger)[0]
    document = whole.read_json(whole.path / "parents" / "0" / "parent.json")
    assert document == parent.to_dict() and document["scored"] and document["origin"]
