"""archsearch.open and what an Experiment tells, from folders that searches left."""

import json
from pathlib import Path

import pytest
import torch

import archsearch
from archsearch import Experiment, InputError
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.training.checkpoint import weights_to_bytes
from tests.analysis.report.searches import experiment
from tests.cli.test_searches import experiment as small_experiment
from tests.tracking.stores import a_copy


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return archsearch.open(experiment(tmp_path_factory.mktemp("one"), 30, fail=0.2).path)


def test_an_experiment_is_opened_by_its_name_or_its_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = small_experiment(tmp_path, "small")
    assert archsearch.open("small").path.absolute() == folder.path
    assert archsearch.open(folder.path).name == archsearch.open("experiments/small").name == "small"
    with pytest.raises(InputError, match="did you mean small"):
        archsearch.open("smal")


def test_it_tells_what_status_tells(opened: Experiment, capsys) -> None:
    assert main(["status", str(opened.path), "--json"]) == 0
    assert opened.summary == json.loads(capsys.readouterr().out)
    assert opened.state == opened.summary["state"]


def test_the_table_of_trials_is_the_ledgers(opened: Experiment) -> None:
    table = opened.trials
    with Ledger.read(opened.folder.ledger) as ledger:
        trials = ledger.trials()
    assert list(table.index) == [trial.id for trial in trials]
    for trial in trials:
        row = table.loc[trial.id]
        assert (row["state"], row["epochs"], row["digest"]) == (trial.state.value, trial.epochs, trial.digest)
        assert row["flops"] == trial.cost["flops"]
        assert all(row[name] == value for name, value in trial.choices.items())
    finished = table[table["state"] == "finished"]
    assert opened.best is not None
    assert finished["value"].max() == opened.best.value
    assert opened.architecture.to_dict()["stages"] == dict(opened.best.architecture)["stages"]


def test_a_search_without_trials_has_an_empty_table(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "empty").create()
    Ledger.create(folder.ledger, {"name": "empty"}).close()
    opened = archsearch.open(folder.path)
    assert len(opened.trials) == 0
    assert opened.best is None
    assert "no trial has finished" in opened._repr_html_()
    with pytest.raises(InputError, match="no trial of empty has finished"):
        _ = opened.architecture


def test_what_a_notebook_shows_is_short_and_needs_nothing_else(opened: Experiment) -> None:
    shown = opened._repr_html_()
    assert opened.best is not None
    assert opened.best.id in shown
    assert len(shown) < 4000
    assert not any(word in shown for word in ("http", "<script", "<link", "#fff", "black", "white"))
    assert repr(opened).startswith(f"<Experiment {opened.name}: {opened.state}, 30 of ")


def test_names_of_strangers_are_escaped(tmp_path: Path) -> None:
    folder = small_experiment(tmp_path, "plain")
    summary = archsearch.open(folder.path).summary | {"experiment": "<img src=x onerror=alert(1)>"}
    from archsearch.api.showing.html import experiment_card

    assert "<img" not in experiment_card(summary, [])


def test_a_notebook_shows_how_often_the_test_split_was_looked_at(tmp_path: Path) -> None:
    folder = small_experiment(tmp_path, "small")
    opened = archsearch.open(folder.path)
    with Ledger.open(folder.ledger) as ledger:
        ledger.note("tested", {"test_accuracy": 0.5}, trial=ledger.best().number)
    assert "50.00 % on test (measured once)" in opened._repr_html_()
    with Ledger.open(folder.ledger) as ledger:
        ledger.note("tested", {"test_accuracy": 0.5}, trial=2)
    assert "50.00 % on test (measured 2 times, for one winner after another)" in opened._repr_html_()


def test_a_notebook_shows_the_best_so_far_before_a_trial_has_finished(tmp_path: Path) -> None:
    folder = small_experiment(tmp_path, "small")
    opened = archsearch.open(folder.path)
    assert "best so far" not in opened._repr_html_()
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        trial = ledger.propose(choices={}, architecture={}, digest="d" * 16, seed=0, cost=dict(ledger.trial(1).cost))
        ledger.start(trial.number)
        ledger.epoch(trial.number, 1, {"epoch": 1, "validation_accuracy": 0.99})
    assert f"best so far {trial.id}: 99.00 % on validation at epoch 1" in opened._repr_html_()


def test_the_trained_module_is_ready(tmp_path: Path) -> None:
    folder = small_experiment(tmp_path, "small")
    opened = archsearch.open(folder.path)
    with pytest.raises(InputError, match="the weights of t0002 were not saved"):
        opened.module()
    network = archsearch.build(opened.architecture, seed=7)
    folder.make_trial(2)
    folder.weights(2).write_bytes(weights_to_bytes(network.state_dict()))
    module = opened.module()
    assert not module.training
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(module(images), network.eval()(images))
    assert opened.weights("2").keys() == network.state_dict().keys()
    data = opened.images()
    assert (data.shape, len(data.mean)) == ((1, 8, 8), 1)


def test_a_report_and_an_export_are_written(tmp_path: Path, capsys) -> None:
    opened = archsearch.open(small_experiment(tmp_path, "small").path)
    assert opened.report(tmp_path / "r.html").read_text().startswith("<!doctype html>")
    document = opened.export(tmp_path / "best.yaml")
    assert archsearch.Architecture.from_yaml(tmp_path / "best.yaml") == opened.architecture
    assert (document["format"], document["trial"]) == ("config", "t0002")
    with pytest.raises(InputError, match="the format 'pickle'"):
        opened.export(tmp_path / "x", format="pickle")


def test_a_finished_search_is_not_driven_again(tmp_path: Path) -> None:
    opened = archsearch.open(small_experiment(tmp_path, "small").path)
    assert opened.resume(progress=False) == opened
    assert opened.space.name == "small"
    assert len(opened.space.sample(2, seed=1)) == 2


def test_mlflow_is_sent_what_it_lacks_once(tmp_path: Path, capsys, empty_store: str) -> None:
    opened = archsearch.open(small_experiment(tmp_path, "small").path)
    store = a_copy(empty_store, tmp_path / "mlflow.db")
    first, second = (opened.sync(tracking_uri=store) for _ in range(2))
    assert (first.error, first.left) == (None, 0)
    assert first.sent > 0 == second.sent
    capsys.readouterr()
    assert main(["sync", str(opened.path), "--tracking-uri", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == second.document(opened.folder)


def test_the_study_has_the_trials(opened: Experiment) -> None:
    values = {trial.number: trial.value for trial in opened.study.trials if trial.state.name == "COMPLETE"}
    table = opened.trials[opened.trials["state"] == "finished"]
    assert sorted(values.values()) == sorted(table["value"])
