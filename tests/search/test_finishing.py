"""The end of a search: its best trained longer, chosen on validation, tested once, beside a plain residual network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import archsearch
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.predictions import Predictions, predictions_of
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import winner_of
from archsearch.reading.errors import InputError
from archsearch.search.confirming import finishing
from archsearch.search.confirming.finishing import Finishing
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from archsearch.tracking import sync
from tests.search.local import Silent, drive_locally, tiny
from tests.tracking.stores import a_copy

SETTINGS = ("search.trials=3", "search.early_stopping={kind: none}", "training.epochs=1", "search.finish=0.5")


class Told(Silent):
    """An observer that remembers the phases, and interrupts at one that begins with a text."""

    def __init__(self, interrupt_at: str = "never") -> None:
        self.phases: list[str] = []
        self._interrupt_at = interrupt_at

    def phase(self, text: str) -> None:
        self.phases.append(text)
        if text.startswith(self._interrupt_at):
            raise KeyboardInterrupt


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SearchSpace, ExperimentFolder]:
    """A search at its end, whose winner nobody tested, with time enough for whatever is planned."""
    monkeypatch.setattr(finishing, "_limit", lambda seconds: 300.0)
    monkeypatch.setattr(finishing, "_time_for", lambda space, ledger: 1000.0)
    space, folder = tiny(tmp_path, *SETTINGS)
    search = drive_locally(space, folder, goes_on=Finishing().pays)
    assert search.hands_on
    with Ledger.read(folder.ledger) as ledger:
        assert not ledger.events_of("tested"), "the test split is looked at once, after the finishing"
    return space, folder


def finish(space: SearchSpace, folder: ExperimentFolder, told: Told | None = None) -> None:
    images = load_images(space.data)
    with Ledger.open(folder.ledger) as ledger:
        Finishing().carry_out(space, folder, ledger, images, told or Told())


def notes(folder: ExperimentFolder) -> list[str]:
    with Ledger.read(folder.ledger) as ledger:
        return [e.kind for e in ledger.events_of("finishing", "finished_training", "finish_tested", "tested")]


def check(folder: ExperimentFolder) -> None:
    """There is one winner, the more accurate one on validation, tested once."""
    with Ledger.read(folder.ledger) as ledger:
        (verdict,) = ledger.events_of("finished_training")
        own = ledger.best()
        assert not Finishing().begun(ledger)
    data, best = verdict.data, summarise(folder)["best"]
    accuracies = {row["name"]: row["validation_accuracy"] for row in data["beside"] if row["kind"] == "trial"}
    assert len(accuracies) == 3 and {row["epochs"] for row in data["beside"]} == {3}
    assert data["of"] == ("finish" if max(accuracies.values()) > own.value else "search")
    assert (best["of"], best["trial"], best["value"]) == (data["of"], data["winner"], data["validation_accuracy"])
    assert best["value"] == max(own.value, *accuracies.values())
    assert best["test_accuracy"] is not None and best["test_looks"] == 1
    results = [json.loads(path.read_text()) for path in (folder.finish.path / "runs").glob("*/result.json")]
    assert len(results) == 4, "three trials and the reference"
    assert sum(result["test"] is not None for result in results) == (data["of"] == "finish")
    with Ledger.read(folder.ledger) as ledger:
        outputs = predictions_of(folder, ledger, winner_of(folder, ledger))
        assert len(ledger.events_of("predictions")) == 1
    assert isinstance(outputs, Predictions)
    split = outputs.splits["test"]
    assert (split.scores.argmax(1) == split.labels).mean() == pytest.approx(best["test_accuracy"])
    network = Architecture.from_yaml(folder.best_yaml)
    assert digest(network) == best["digest"]
    assert data["reference"]["name"].startswith("plain resnet")
    images = load_images(load_space(folder.space_yaml).data)
    module = archsearch.open(folder.path).module()
    from archsearch.space.settings import TrainingSettings
    from archsearch.training.loop import Training
    from archsearch.training.run import TrainingRun

    run = TrainingRun(settings=TrainingSettings(device="cpu"), seed=0, threads=1)
    assert Training(module, images, run).evaluate("test").accuracy == best["test_accuracy"]


def test_interrupted_in_the_middle_it_goes_on_with_what_is_whole(ended, empty_store: str) -> None:
    space, folder = ended
    with pytest.raises(KeyboardInterrupt):
        finish(space, folder, Told("finishing: t"))
    with Ledger.read(folder.ledger) as ledger:
        assert Finishing().begun(ledger)
    runs = folder.finish.path / "runs"
    whole = {path: path.stat().st_mtime_ns for path in runs.glob("*/weights.safetensors")}
    assert whole and notes(folder) == ["finishing"]
    assert summarise(folder)["best"]["of"] == "search", "nothing is chosen yet"
    told = Told()
    finish(space, folder, told)
    assert told.phases[0].startswith(f"finishing: {4 - len(whole)} trainings of 3 epochs, about ")
    assert all(path.stat().st_mtime_ns == time for path, time in whole.items())
    check(folder)
    before = notes(folder)
    summary = summarise(folder)
    assert summary["floor"] is None, "simple models were not measured here"
    finish_again = Told()
    with Ledger.open(folder.ledger) as ledger:
        assert not Finishing().begun(ledger)
    assert finish_again.phases == [] and notes(folder) == before
    uri = a_copy(empty_store, folder.path.parent / "mlflow.db")
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        ledger.end("finished")
    sync(folder, uri)
    sync(folder, uri)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "tiny"]
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name.startswith("finish ")]
    assert len(runs) == 4 and {run.info.status for run in runs} == {"FINISHED"}, "each training once"
    run = runs[0]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3]


KILLED = """
import sys
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.confirming import finishing
from archsearch.space.loading import load_space
from tests.search.test_finishing import Told
finishing._time_for = lambda space, ledger: 1000.0
finishing._limit = lambda seconds: 300.0
folder = ExperimentFolder(__import__("pathlib").Path(sys.argv[1]))
space = load_space(folder.space_yaml)
with Ledger.open(folder.ledger) as ledger:
    finishing.Finishing().carry_out(space, folder, ledger, load_images(space.data), Told())
"""


def test_killed_between_the_verdict_and_the_test_it_tests_what_was_chosen(ended) -> None:
    space, folder = ended
    env = {**os.environ, "ARCHSEARCH_CRASH": "note-after:2", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder.path)], env=env, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert notes(folder) == ["finishing", "finished_training"]
    assert summarise(folder)["best"]["test_accuracy"] is None
    with Ledger.read(folder.ledger) as ledger:
        assert Finishing().begun(ledger)
    finish(space, folder)
    assert len(notes(folder)) == 3
    check(folder)


def test_where_the_search_s_own_best_is_no_worse_it_is_handed_over(ended, monkeypatch: pytest.MonkeyPatch) -> None:
    space, folder = ended
    monkeypatch.setattr(finishing, "_value", lambda outcome, objective: 0.0)
    yaml = folder.best_yaml.read_text()
    finish(space, folder)
    assert notes(folder) == ["finishing", "finished_training", "tested"]
    with Ledger.read(folder.ledger) as ledger:
        own = ledger.best()
    best = summarise(folder)["best"]
    assert (best["of"], best["trial"], best["value"]) == ("search", own.id, own.value)
    assert best["test_accuracy"] is not None and folder.best_yaml.read_text() == yaml
    assert not folder.best_of_search.exists()


def test_what_is_not_trained_in_time_changes_nothing(ended, monkeypatch: pytest.MonkeyPatch) -> None:
    space, folder = ended
    monkeypatch.setattr(finishing, "_limit", lambda seconds: 0.0)
    finish(space, folder)
    assert notes(folder) == ["finishing", "finished_training", "tested"]
    assert summarise(folder)["best"]["of"] == "search"


def test_it_is_left_out_where_it_does_not_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, folder = tiny(tmp_path, *SETTINGS[:-1])
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:

        def planned(*overrides: str) -> finishing.Plan | None:
            return Finishing().plan(load_space(folder.space_yaml, overrides), ledger)

        assert ledger.events_of("tested"), "without a finishing the search tests its best itself"
        assert planned("search.finish=0.5") is None, "no time was taken by the search"
        monkeypatch.setattr(finishing, "_time_for", lambda space, ledger: 1000.0)
        assert planned("search.finish=none") is None
        assert planned() is None, "auto, for three trials"
        assert planned("search.trials=8") is not None
        assert planned("search.trials=8", "search.wall_time=1h") is None
        plan = planned("search.finish=0.5")
        assert plan is not None and (len(plan.trials), plan.epochs) == (3, 3)
        best = ledger.best()
        monkeypatch.setattr(finishing, "_still_gains", lambda ledger, number, value: number != best.number)
        assert planned("search.trials=8") is None, "its last epochs were of no use"
        load = max(finishing._seconds(ledger, finishing._with_reference(space, finishing.top_of(ledger, space, 1))))
        monkeypatch.setattr(finishing, "_time_for", lambda space, ledger: finishing.START + 1.4 * load)
        assert planned("search.finish=0.5") is None, "less than 1.5 times the epochs"


@pytest.mark.parametrize("value", ["0.01", "1.5", "yes"])
def test_a_share_out_of_range_is_bad_input(value: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="finish"):
        tiny(tmp_path, f"search.finish={value}")


def test_time_for_it_is_taken_from_the_wall_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    space, _ = tiny(tmp_path / "a", "search.wall_time=100s", "search.finish=0.2")
    assert space.search.trial_time == 80
    assert load_space(tmp_path / "a" / "tiny.yaml", ["search.wall_time=100s"]).search.trial_time == 100
