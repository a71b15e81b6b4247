from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import time
from pathlib import Path
from urllib.request import url2pathname

import pytest
import yaml

from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.tracking import (
    Standing,
    TrackingError,
    backlog,
    copied_from,
    drain,
    follow,
    page_of,
    resolve_tracking_uri,
    serve,
    start_follower,
    sync,
)
from archsearch.tracking.outbox import Outbox
from archsearch.tracking.store import Store, database_path
from tests.experiment import fill
from tests.tracking.stores import a_copy


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory, empty_store: str) -> str:
    """One store for all: each test has a space, hence an experiment, of its own."""
    return a_copy(empty_store, tmp_path_factory.mktemp("follower") / "mlflow.db")


@pytest.fixture
def space(request: pytest.FixtureRequest) -> str:
    return request.node.name


def a_search(path: Path, space: str, trials: int = 7, epochs: int = 3) -> ExperimentFolder:
    folder = ExperimentFolder(path)
    with fill.new(folder, name=space, space=space) as ledger:
        ledger.begin()
        ledger.reject(choices={"block": "basic"}, violations={"flops": 0.5}, cost={"flops": 9})
        for _ in range(trials):
            fill.trial(ledger, epochs)
        ledger.note("tested", {"trial": 5, "test_accuracy": 0.61, "accuracy": 0.61, "split": "test"})
        ledger.end("finished")
    folder.best_yaml.write_text("best: 5\n")
    return folder


def seen(uri: str, space: str) -> dict[int, dict]:
    """Every active run by its trial (0: the search), with all that a person could see of it but its id."""
    from mlflow.tracking import MlflowClient

    client, db = MlflowClient(uri), sqlite3.connect(uri.removeprefix("sqlite:///"))
    experiment = client.get_experiment_by_name(space)
    runs: dict[int, dict] = {}
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = {run.info.run_id for run in found if "mlflow.parentRunId" not in run.data.tags}
    for run in found:
        trial = int(run.data.tags["archsearch.trial"])
        assert trial not in runs, f"trial {trial} has two runs"
        assert run.data.tags.pop("mlflow.parentRunId", None) in ({None} if trial == 0 else parents)
        # From the tables, for asking the client for each metric takes most of a test's time.
        query = "SELECT key, step, value, timestamp FROM metrics WHERE run_uuid = ? ORDER BY key, step, timestamp"
        history: dict[str, list] = {}
        for key, *point in db.execute(query, (run.info.run_id,)):
            history.setdefault(key, []).append(tuple(point))
        files = Path(url2pathname(run.info.artifact_uri[7:])).iterdir()
        # MLflow leaves a file of this name where it is killed while it writes an artifact.
        artifacts = {p.name: p.read_text() for p in files if not p.name.startswith(".artifact.uploading.")}
        runs[trial] = {
            "name": run.info.run_name,
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": run.data.tags,
            "metrics": history,
            "artifacts": artifacts,
        }
    db.close()
    return runs


def test_a_search_becomes_a_run_with_a_child_a_trial(tmp_path: Path, uri: str, space: str, capfd) -> None:
    folder = a_search(tmp_path / "söhne", space)
    sync(folder, uri)
    assert capfd.readouterr() == ("", ""), "the terminal belongs to the driver"
    runs = seen(uri, space)
    assert sorted(runs) == list(range(8))
    with Ledger.read(folder.ledger) as ledger:
        for trial in ledger.trials():
            run = runs[trial.number]
            wanted = {"finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}[trial.state]
            assert (run["status"], run["tags"]["archsearch.state"]) == (wanted, trial.state)
            assert run["times"] == (round(trial.started * 1000), round(trial.ended * 1000))
            assert run["name"] == trial.id
            assert run["params"]["stage1.depth"] == str(trial.number) and run["params"]["digest"] == trial.digest
            assert {key: run["metrics"][key][0][1] for key in trial.cost} == trial.cost
            assert run["metrics"]["val_accuracy"] == [
                (e.epoch, e.metrics["val_accuracy"], round(e.time * 1000)) for e in ledger.epochs(trial.number)
            ]
            final = [trial.value] if trial.state == "finished" else []
            assert [p[1] for p in run["metrics"].get("final_accuracy", [])] == final
            reached = [(3, trial.value)] if trial.state != "failed" else []
            assert [p[:2] for p in run["metrics"].get("accuracy", [])] == reached
            assert Architecture.from_dict(yaml.safe_load(run["artifacts"]["architecture.yaml"])).stages
            assert run["artifacts"]["drawing.svg"].endswith("</svg>\n")
    parent = runs[0]
    assert (parent["status"], parent["name"]) == ("FINISHED", space)
    assert [p[:2] for p in parent["metrics"]["best_accuracy"]] == [
        (1, 0.531),
        (2, 0.532),
        (4, 0.534),
        (5, 0.535),
        (7, 0.535),
    ]
    assert {k: v[-1][1] for k, v in parent["metrics"].items() if k in ("trials", "rejected", "tested_accuracy")} == {
        "trials": 7,
        "rejected": 1,
        "tested_accuracy": 0.61,
    }
    assert parent["tags"]["archsearch.best_trial"] == "t0005"
    assert [n for n, run in runs.items() if run["tags"].get("archsearch.best")] == [5]
    assert set(parent["artifacts"]) == {"space.yaml", "best.yaml"}
    about = parent["tags"]["mlflow.note.content"]
    assert "**Best: t0005**, 53.50 % on the validation split" in about and "archsearch export" in about


def test_sending_again_changes_nothing_even_when_the_outbox_is_lost(tmp_path: Path, uri: str, space: str) -> None:
    folder = a_search(tmp_path / "search", space)
    sync(folder, uri)
    before = seen(uri, space)
    sync(folder, uri)
    folder.outbox.unlink()
    sync(folder, uri)
    assert seen(uri, space) == before


def test_a_killed_follower_sends_everything_exactly_once(tmp_path: Path, uri: str, space: str) -> None:
    folder = a_search(tmp_path / "search", space, trials=12, epochs=5)
    whole, uri = a_copy(uri, tmp_path / "whole.db"), a_copy(uri, tmp_path / "killed.db")
    # Forked, so that the seconds of MLflow's import are spent once; the engine is each child's own.
    fork = multiprocessing.get_context("fork")
    draw, killed, start = random.Random(0), 0, time.monotonic()
    while killed < 8:
        process = fork.Process(target=follow, args=(folder, uri), kwargs={"until_end": False})
        process.start()
        process.join(draw.uniform(0.05, 0.6))
        if process.is_alive():
            process.kill()
            killed += 1
        process.join()
        with Outbox(folder.outbox, uri) as outbox, Ledger.read(folder.ledger) as ledger:
            if outbox.cursor == ledger.last_event() and killed >= 3:
                break
    assert killed >= 3, "it was never hit"
    sync(folder, uri)
    folder.outbox.unlink()
    sync(folder, whole)
    assert seen(uri, space) == seen(whole, space)
    assert len(seen(uri, space)) == 13 and time.monotonic() - start < 60


@pytest.mark.parametrize("lost", ["before", "after"])
def test_an_answer_that_is_lost_makes_no_second_run(
    tmp_path: Path, uri: str, space: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    folder, create, calls = a_search(tmp_path / "search", space, trials=3), Store.create, []

    def unsure(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2 and lost == "before":
            raise ConnectionError("lost on the way there")
        run = create(self, *arguments)
        if len(calls) == 2:
            raise ConnectionError("lost on the way back")
        return run

    monkeypatch.setattr(Store, "create", unsure)
    sync(folder, uri)
    assert sorted(seen(uri, space)) == [0, 1, 2, 3]
    assert len(calls) == (5 if lost == "before" else 4)


def test_a_request_done_late_leaves_one_run(tmp_path: Path, uri: str, space: str) -> None:
    folder = a_search(tmp_path / "search", space, trials=2)
    sync(folder, uri)
    before = seen(uri, space)
    with Ledger.read(folder.ledger) as ledger:
        tags = {"archsearch.experiment_id": ledger.id, "archsearch.trial": "2"}
        Store(uri).create(Store(uri).experiment(space, ledger.id), "t0002", 1, tags)
    sync(folder, uri)
    assert seen(uri, space) == before


def test_a_resumed_search_goes_on_in_its_runs_and_moves_the_best(tmp_path: Path, uri: str, space: str) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder, name=space, space=space) as ledger:
        ledger.begin()
        fill.trial(ledger)
        fill.propose(ledger, 2)
        fill.train(ledger, 2, 2)
    sync(folder, uri)  # the driver is dead: nothing may be left RUNNING
    runs = seen(uri, space)
    assert {n: (r["status"], r["tags"]["archsearch.state"]) for n, r in runs.items()} == {
        0: ("KILLED", "interrupted"),
        1: ("FINISHED", "finished"),
        2: ("KILLED", "interrupted"),
    }
    assert runs[1]["tags"]["archsearch.best"] == "true"
    with Ledger.open(folder.ledger) as ledger, folder.driver_lock():
        ledger.begin()
        ledger.requeue(2, "driver died")
        ledger.finish(2, fill.train(ledger, 2, 4))
        follow(folder, uri, until_end=False)
        assert seen(uri, space)[0]["status"] == "RUNNING"
        ledger.end("finished")
    sync(folder, uri)
    runs = seen(uri, space)
    assert {n: (r["status"], r["tags"]["archsearch.state"]) for n, r in runs.items()} == {
        0: ("FINISHED", "finished"),
        1: ("FINISHED", "finished"),
        2: ("FINISHED", "finished"),
    }
    assert "archsearch.best" not in runs[1]["tags"] and runs[2]["tags"]["archsearch.best"] == "true"
    assert {step for step, *_ in runs[2]["metrics"]["val_accuracy"]} == {1, 2, 3, 4}


@pytest.mark.parametrize("sent", [True, False])
def test_an_epoch_that_was_trained_again_stands_once(tmp_path: Path, uri: str, space: str, sent: bool) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder, name=space, space=space) as ledger, folder.driver_lock():
        ledger.begin()
        for number in (1, 2):
            fill.propose(ledger, number)
            fill.train(ledger, number, 4)
        if sent:
            follow(folder, uri, until_end=False)
            before = seen(uri, space)
        ledger.requeue(1, "driver died")
        ledger.start(1, resume_epoch=2)
        for epoch in (3, 4, 5):
            ledger.epoch(1, epoch, {"train_loss": 0.1, "val_accuracy": 0.6})
        ledger.finish(1, 0.6)
        ledger.finish(2, 0.542)
        follow(folder, uri, until_end=False)
        ledger.end("finished")
    sync(folder, uri)
    runs = seen(uri, space)
    with Ledger.read(folder.ledger) as ledger:
        for number in (1, 2):
            assert runs[number]["metrics"]["val_accuracy"] == [
                (e.epoch, e.metrics["val_accuracy"], round(e.time * 1000)) for e in ledger.epochs(number)
            ]
    assert [(n, r["status"]) for n, r in sorted(runs.items())] == [(0, "FINISHED"), (1, "FINISHED"), (2, "FINISHED")]
    if sent:
        assert runs[2]["metrics"].items() >= before[2]["metrics"].items(), "the other run is the one it was"
    folder.outbox.unlink()
    sync(folder, uri)
    assert seen(uri, space) == runs


@pytest.mark.parametrize("sent", [True, False])
def test_epochs_after_an_earlier_state_than_the_rungs_stand_once(
    tmp_path: Path, uri: str, space: str, sent: bool
) -> None:
    """A promoted trial whose newest state is damaged goes on from the one before, without ever having failed."""
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder, name=space, space=space) as ledger, folder.driver_lock():
        ledger.begin()
        fill.propose(ledger, 1)
        ledger.pause(1, fill.train(ledger, 1, 4), rung=4)
        if sent:
            follow(folder, uri, until_end=False)
        ledger.promote(1)
        ledger.note("state_lost", {"epoch": 4, "reason": "missing or damaged"}, trial=1)
        ledger.start(1, resume_epoch=2)
        for epoch in (3, 4, 5):
            ledger.epoch(1, epoch, {"train_loss": 0.1, "val_accuracy": 0.6})
        ledger.finish(1, 0.6)
        ledger.end("finished")
    sync(folder, uri)
    metrics = seen(uri, space)[1]["metrics"]
    assert [point[0] for point in metrics["val_accuracy"]] == [1, 2, 3, 4, 5]
    assert [point[:2] for point in metrics["accuracy"]] == [(5, 0.6)]


def test_the_data_set_is_the_runs_input(tmp_path: Path, uri: str, space: str) -> None:
    from mlflow.tracking import MlflowClient

    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder, name=space, space=space) as ledger:
        folder.space_yaml.write_text("archsearch: 1\nname: x\ndata: {name: folder, root: /data/birds}\n")
        ledger.begin({"data": "0123456789abcdef", "images": {"train": 80, "validation": 20, "test": 10}})
        fill.trial(ledger)
        ledger.end("finished")
    for _ in range(2):
        sync(folder, uri)
        folder.outbox.unlink()
    client = MlflowClient(uri)
    for run in client.search_runs([client.get_experiment_by_name(space).experiment_id]):
        (entry,) = run.inputs.dataset_inputs
        assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]
        data = entry.dataset
        assert (data.name, data.digest, data.source_type) == ("birds", "0123456789abcdef", "local")
        assert json.loads(data.source) == {"uri": "/data/birds"}
        assert json.loads(data.profile) == {"num_rows": 110, "train": 80, "validation": 20, "test": 10}
        features = json.loads(json.loads(data.schema)["mlflow_tensorspec"]["features"])
        assert features[0]["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 3, 32, 32]}


def test_a_paused_trial_is_followed_through_interrupt_promotion_and_end(tmp_path: Path, uri: str, space: str) -> None:
    def shown() -> dict[int, tuple[str, str]]:
        return {n: (r["status"], r["tags"]["archsearch.state"]) for n, r in seen(uri, space).items()}

    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder, name=space, space=space) as ledger, folder.driver_lock():
        ledger.begin()
        for number in (1, 2):
            fill.propose(ledger, number)
            ledger.pause(number, fill.train(ledger, number, 1), rung=1)
        follow(folder, uri, until_end=False)
        assert shown() == {0: ("RUNNING", "running"), 1: ("SCHEDULED", "paused"), 2: ("SCHEDULED", "paused")}
        ledger.end("interrupted")
    sync(folder, uri)
    assert shown() == {0: ("KILLED", "interrupted"), 1: ("SCHEDULED", "paused"), 2: ("SCHEDULED", "paused")}
    with Ledger.open(folder.ledger) as ledger, folder.driver_lock():
        ledger.begin()
        ledger.promote(2)
        follow(folder, uri, until_end=False)
        assert shown()[2] == ("SCHEDULED", "waiting")
        ledger.start(2, resume_epoch=1)
        follow(folder, uri, until_end=False)
        assert shown() == {0: ("RUNNING", "running"), 1: ("SCHEDULED", "paused"), 2: ("RUNNING", "running")}
        ledger.epoch(2, 2, {"val_accuracy": 0.75})
        ledger.finish(2, 0.75)
        ledger.correlate(1, -0.5, 5, corrected=-0.75)  # of so few trials it says nothing
        ledger.correlate(1, 0.5, 6, corrected=0.75)
        ledger.stop(1, 0.511, "not promoted at the rung of 1 epochs")
        ledger.end("finished")
    sync(folder, uri)
    runs = seen(uri, space)
    assert shown() == {0: ("FINISHED", "finished"), 1: ("FINISHED", "stopped"), 2: ("FINISHED", "finished")}
    assert [p[:2] for p in runs[0]["metrics"]["rung_1_correlation"]] == [(6, 0.5)]
    assert [p[:2] for p in runs[0]["metrics"]["rung_1_corrected_correlation"]] == [(6, 0.75)]
    assert [p[:2] for p in runs[2]["metrics"]["val_accuracy"]] == [(1, 0.512), (2, 0.75)]
    assert "final_accuracy" not in runs[1]["metrics"] and runs[2]["tags"]["archsearch.best"] == "true"


def test_a_store_that_was_thrown_away_is_filled_again(tmp_path: Path, uri: str, space: str) -> None:
    folder = a_search(tmp_path / "search", space, trials=3)
    sync(folder, uri)
    before = seen(uri, space)
    other = a_copy(uri, tmp_path / "other.db")
    with sqlite3.connect(other.removeprefix("sqlite:///")) as db:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            db.execute(f"DELETE FROM {table}")
    db.close()
    with Outbox(folder.outbox, uri) as old, Outbox(folder.outbox, other) as new:
        new.remember(old.experiment, old.parent)  # it remembers runs that this store has not
        new.cursor = old.cursor
    sync(folder, other)
    assert {n: r["metrics"] for n, r in seen(other, space).items()} == {n: r["metrics"] for n, r in before.items()}


def test_a_run_that_a_person_deleted_holds_nothing_up(tmp_path: Path, uri: str, space: str) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder, name=space, space=space) as ledger, folder.driver_lock():
        ledger.begin()
        fill.propose(ledger)
        accuracy = fill.train(ledger, 1, 2)
        follow(folder, uri, until_end=False)
        with Outbox(folder.outbox, uri) as outbox:
            Store(uri).delete(outbox.run(1)[0])
        ledger.finish(1, accuracy)
        fill.trial(ledger)
        ledger.end("finished")
    sync(folder, uri)
    assert sorted(seen(uri, space)) == [0, 2]


def test_a_search_has_an_experiment_of_its_own_whose_name_tells_it_from_others(
    tmp_path: Path, uri: str, space: str
) -> None:
    from mlflow.tracking import MlflowClient

    store, client = Store(uri), MlflowClient(uri)
    first = store.experiment(space, "1" * 32)
    assert store.experiment(space, "1" * 32) == first
    second = store.experiment(space, "2" * 32)
    assert client.get_experiment(second).name == f"{space}-2", "the name is another search's"
    client.rename_experiment(first, f"{space}, as I call it")
    assert store.experiment(space, "1" * 32) == first, "it is found by its tag"
    client.delete_experiment(first)
    third = store.experiment(f"{space}, as I call it", "1" * 32)
    assert client.get_experiment(third).name == f"{space}, as I call it-2", "what was deleted stays so"


def test_a_search_that_shares_an_experiment_already_goes_on_in_it(tmp_path: Path, uri: str, space: str) -> None:
    from mlflow.tracking import MlflowClient

    folder, client = a_search(tmp_path / "search", space, trials=2), MlflowClient(uri)
    shared = client.create_experiment(f"{space}-shared", artifact_location=(tmp_path / "files").as_uri())
    with Ledger.read(folder.ledger) as ledger:
        tags = {"archsearch.experiment_id": ledger.id, "archsearch.trial": "0"}
        parent = Store(uri).create(shared, space, 1, tags)
        assert Store(uri).experiment(space, ledger.id, former=f"{space}-shared") == shared
        assert Store(uri).experiment(space, "3" * 32, former=f"{space}-shared") != shared
    with Outbox(folder.outbox, uri) as outbox:
        outbox.identity(folder.ledger)
        outbox.remember(shared, parent)
    sync(folder, uri)
    assert sorted(seen(uri, f"{space}-shared")) == [0, 1, 2]


def test_a_server_that_does_not_answer_is_an_error_of_syncs_and_nobody_elses(tmp_path: Path, space: str) -> None:
    folder = a_search(tmp_path / "search", space, trials=1)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    try:
        with pytest.raises(TrackingError, match="does not answer"):
            sync(folder, "http://user:secret@127.0.0.1:9")
    finally:
        del os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    assert b"secret" not in folder.outbox.read_bytes()


def test_the_view_names_the_searchs_own_columns(tmp_path: Path, uri: str, space: str) -> None:
    from mlflow.tracking import MlflowClient

    folder = a_search(tmp_path / "search", space, trials=2)
    sync(folder, uri)
    with Ledger.read(folder.ledger) as ledger:
        tags = MlflowClient(uri).get_experiment_by_name(space).tags
        saved = json.loads(tags[f"mlflow.sharedViewState.{ledger.id}"])
        state = json.loads(saved["state"])
        assert ledger.id in state["searchFilter"]
    charts = [chart.get("metricKey", chart["type"]) for chart in state["compareRunCharts"]]
    assert charts[:5] == ["validation_accuracy", "SCATTER", "accuracy", "best_accuracy", "PARALLEL"]
    assert not {"flops", "params"} & set(charts), "constants are no charts that open"
    assert {"metrics.`accuracy`", "metrics.`final_accuracy`", "metrics.`flops`", "params.`block`"} <= set(
        state["selectedColumns"]
    )
    assert state["orderByKey"] == "metrics.`accuracy`" and state["orderByAsc"] is False


def test_a_follower_beside_a_driver_sends_all_and_ends_with_it(
    tmp_path: Path, uri: str, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = ExperimentFolder(Path("experiments/search"))
    with fill.new(folder, name=space, space=space) as ledger, folder.driver_lock():
        process = start_follower(folder, uri)
        assert os.getsid(process.pid) != os.getsid(0), "Ctrl-C would reach it"
        ledger.begin()
        until = time.monotonic() + 90
        while not folder.outbox.exists() and time.monotonic() < until:
            time.sleep(0.1)
        for _ in range(4):
            fill.trial(ledger)
        assert process.poll() is None
        ledger.end("finished")
        assert drain(process, 120), folder.tracking_log.read_text()
    assert sorted(seen(uri, space)) == [0, 1, 2, 3, 4]
    assert {r["status"] for n, r in seen(uri, space).items() if n in (0, 1, 2, 4)} == {"FINISHED"}


def test_the_store_is_the_arguments_or_the_environments_or_mlruns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert resolve_tracking_uri() == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert resolve_tracking_uri() == "http://127.0.0.1:5000"
    assert resolve_tracking_uri("sqlite:////elsewhere/m.db") == "sqlite:////elsewhere/m.db"


def test_a_percent_sign_in_a_path_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "my%20project?"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    default = resolve_tracking_uri()
    assert database_path(default) == project / "mlruns" / "mlflow.db"
    assert resolve_tracking_uri(default) == default
    Store(default).experiment("any", "0" * 32)
    assert sqlite3.connect(project / "mlruns" / "mlflow.db").execute("SELECT COUNT(*) FROM experiments").fetchone()[0]
    assert [path.name for path in tmp_path.iterdir()] == [project.name], "nothing is made beside it"
    (tmp_path / "a%20b").mkdir()
    assert database_path(f"sqlite:///{tmp_path}/a%20b/m.db") == tmp_path / "a%20b" / "m.db"
    (tmp_path / "a b").mkdir()
    assert database_path(f"sqlite:///{tmp_path}/a%20b/m.db") == tmp_path / "a b" / "m.db"


def test_a_store_that_cannot_be_opened_is_named_at_once(tmp_path: Path, space: str) -> None:
    folder = a_search(tmp_path / "search", space, trials=1)
    (tmp_path / "text.db").write_text("no database" * 100)
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "pipe.db")
    for name in ("text.db", "folder.db", "pipe.db", "text.db/m.db"):
        began = time.monotonic()
        away = TrackingError if name == "text.db/m.db" else InputError  # a share may be away, and come back
        with pytest.raises(away, match=name):
            sync(folder, f"sqlite:///{tmp_path}/{name}")
        with pytest.raises(InputError, match=name):
            serve(folder, f"sqlite:///{tmp_path}/{name}")
        assert time.monotonic() - began < 30, "MLflow's import, no more"


@pytest.mark.parametrize("outbox", ["with its outbox", "without it"])
def test_a_copy_of_a_folder_is_a_search_of_its_own_and_a_moved_one_is_not(
    tmp_path: Path, uri: str, space: str, outbox: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    def runs() -> list[tuple[str, str]]:
        client = MlflowClient(uri)
        experiments = [e.experiment_id for e in client.search_experiments() if e.name in (space, f"{space}-2")]
        tags = [run.data.tags for run in client.search_runs(experiments)]
        return sorted((tag["archsearch.experiment_id"], tag["archsearch.trial"]) for tag in tags)

    folder = a_search(tmp_path / "search", space, trials=2)
    sync(folder, uri)
    before = runs()
    folder.path.rename(tmp_path / "moved")
    moved, copy = ExperimentFolder(tmp_path / "moved"), ExperimentFolder(tmp_path / "copy")
    sync(moved, uri)
    assert runs() == before and copied_from(moved, uri) is None
    with Ledger.open(moved.ledger) as ledger:
        ledger.begin(Standing.of(moved.ledger).to_dict())
        ledger.end("finished")
    shutil.copytree(moved.path, copy.path)
    if outbox == "without it":
        copy.outbox.unlink()
    assert copied_from(copy, uri) == str(moved.path) and page_of(copy, uri) is None
    with Ledger.read(copy.ledger) as ledger:
        assert backlog(copy, uri) == ledger.last_event()
    word = f"note: this is a copy of {moved.path}, which still exists"
    capfd.readouterr()
    for told in (True, False):
        assert main(["sync", str(copy.path), "--tracking-uri", uri]) == 0
        assert (word in capfd.readouterr().err) == told
    assert copied_from(copy, uri) is None
    for end in (copy.outbox, copy.outbox.with_name("outbox.sqlite-wal")):
        end.unlink(missing_ok=True)  # what is lost with it is time, and no second run comes of it
    for _ in range(2):
        sync(copy, uri)
        sync(moved, uri)
        both = runs()
        assert len(both) == 2 * len(before) and set(before) < set(both)
    (mine,) = {search for search, _ in both} - {search for search, _ in before}
    assert (page_of(copy, uri) or "").endswith(f"viewStateShareKey={mine}")
