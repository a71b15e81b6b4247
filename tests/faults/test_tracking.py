"""Fault 6 and the follower's crash points: MLflow is away, slow or killed; each point arrives once, by `sync`."""

import fcntl
import json
from pathlib import Path

import pytest

from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.tracking import backlog, drain, follower, start_follower, sync
from archsearch.tracking.store import Store
from tests.faults.driving import drive, in_a_child, new
from tests.faults.invariants import check_tracking, check_whole, check_words
from tests.faults.servers import AWAY, through_an_outage
from tests.faults.test_crashes import TRACKING
from tests.tracking.stores import a_copy


@pytest.fixture
def searched(tmp_path: Path) -> ExperimentFolder:
    folder = new(tmp_path)
    drive(folder)
    return folder


def test_the_follower_killed_at_every_named_place(tmp_path: Path, searched: ExperimentFolder, empty_store: str) -> None:
    for place in sorted(TRACKING):
        searched.outbox.unlink(missing_ok=True)
        uri = a_copy(empty_store, tmp_path / f"{place}.db")
        crash = f"{place}:3" if place in ("run-created", "run-described") else place
        assert in_a_child(lambda uri=uri: sync(searched, uri), crash=crash) == -9, f"{place}: it never passed there"
        found = sync(searched, uri)
        assert found.remaining == 0 and not found.refused
        check_tracking(searched, uri)


def test_an_outbox_that_is_torn_while_it_is_used_makes_no_second_run(
    tmp_path: Path, searched: ExperimentFolder, empty_store: str
) -> None:
    uri = a_copy(empty_store, tmp_path / "store.db")
    assert in_a_child(lambda: sync(searched, uri), crash="points-sent") == -9
    searched.outbox.write_bytes(searched.outbox.read_bytes()[:5000])
    assert sync(searched, uri).remaining == 0
    check_tracking(searched, uri)


@pytest.mark.parametrize("kind", sorted(AWAY))
def test_a_server_that_is_away_fails_no_trial_and_sync_says_so(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    folder, followers = new(tmp_path), []
    with AWAY[kind]() as port:
        uri = f"http://127.0.0.1:{port}"

        def follow(_: object) -> None:
            if not followers:
                followers.append(start_follower(folder, uri))

        drive(folder, after_each=follow)
        check_whole(folder, planned=8)
        with Ledger.read(folder.ledger) as ledger:
            events = ledger.last_event()
            assert not ledger.counts().failed
        assert not drain(followers[0], timeout=1)
        code = main(["sync", str(folder.path), "--tracking-uri", uri, "--json"])
        said = capsys.readouterr()
    check_words(code, said.err, allowed={1})
    assert "the tracking store does not answer" in said.err
    document = json.loads(said.out)
    assert (document["sent"], document["left"]) == (0, events) and document["error"]


def test_a_store_that_was_away_gets_everything_once_by_sync(
    tmp_path: Path, searched: ExperimentFolder, empty_store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "share"
    uri = f"sqlite:///{place}/mlflow.db"
    place.write_text("not mounted")
    words = ["sync", str(searched.path), "--tracking-uri", uri]
    check_words(main(words), capsys.readouterr().err, allowed={1})
    place.unlink()
    place.mkdir()
    a_copy(empty_store, place / "mlflow.db")
    with Ledger.read(searched.ledger) as ledger:
        events = ledger.last_event()
    assert backlog(searched, uri) == events
    assert main(words) == 0
    assert f"x: {events} events of the ledger sent to MLflow, 0 left" in capsys.readouterr().out
    check_tracking(searched, uri)
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "experiment": "x", "folder": str(searched.path), "sent": 0, "left": 0, "model": None, "error": None,
    }  # fmt: skip
    check_tracking(searched, uri)


def test_what_the_store_refuses_is_said(tmp_path: Path, empty_store: str, capsys: pytest.CaptureFixture[str]) -> None:
    from archsearch.tracking.outbox import Outbox

    uri, folder = a_copy(empty_store, tmp_path / "store.db"), new(tmp_path)
    assert in_a_child(lambda: drive(folder), crash="paused-after:3") == -9
    sync(folder, uri)
    with Outbox(folder.outbox, uri) as outbox:
        Store(uri).delete(outbox.run(1)[0])  # a person does not want to see trial 1
    drive(folder)
    code = main(["sync", str(folder.path), "--tracking-uri", uri])
    check_words(code, capsys.readouterr().err, allowed={1})
    assert main(["sync", str(folder.path), "--tracking-uri", uri]) == 0


def test_while_it_is_driven_and_followed_sync_leaves_with_4(
    searched: ExperimentFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follower, "_LOCK_PATIENCE", 0.5)
    with searched.driver_lock(), (searched.path / "tracking.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code = main(["sync", str(searched.path)])
        check_words(code, capsys.readouterr().err, allowed={4})
    with (searched.path / "tracking.lock").open("a") as lock:  # somebody else's sync
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_words(main(["sync", str(searched.path)]), capsys.readouterr().err, allowed={1})


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(AWAY))
def test_mlflows_own_server_is_away_for_a_while(tmp_path: Path, kind: str) -> None:
    found = through_an_outage(tmp_path, kind, seconds=60, store=f"sqlite:///{tmp_path}/mlflow.db")
    assert found["waited_at_most"] > 0, "nothing happened while it was away"
