"""A tracking address with a user and a password in it: neither is written or printed anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder
from archsearch.tracking import TrackingError, drain, serve, start_follower, sync, without_password
from tests.experiment import fill
from tests.faults.servers import answering_500, nobody


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("http://me:secret@mlflow:5000/a@b", "http://mlflow:5000/a@b"),
        ("postgresql+psycopg2://me:se@cret@host/db", "postgresql+psycopg2://host/db"),
        ("to https://me:secret@host/x, then http://a:secret@b", "to https://host/x, then http://b"),
        ("https://mlflow/a@b", "https://mlflow/a@b"),
        ("sqlite:////home/me@here/m.db", "sqlite:////home/me@here/m.db"),
    ],
)  # fmt: skip
def test_a_text_without_its_passwords(said: str, shown: str) -> None:
    assert without_password(said) == shown


@pytest.mark.parametrize(
    ("server", "gives_up"), [(answering_500, False), pytest.param(nobody, True, marks=pytest.mark.slow)]
)
def test_nothing_of_the_folder_and_no_message_holds_the_password(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    server: Callable[[], AbstractContextManager[int]],
    gives_up: bool,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder) as ledger, server() as port:
        uri = f"http://somebody:hunter2@127.0.0.1:{port}"
        with folder.driver_lock():
            ledger.begin()
            fill.trial(ledger)
            ledger.end("finished")
            follower = start_follower(folder, uri)
        until = time.monotonic() + 120
        while not gives_up and follower.poll() is None and "127.0.0.1" not in folder.tracking_log.read_text():
            assert time.monotonic() < until, "the follower never said what went wrong"
            time.sleep(0.05)
        drain(follower, 120 if gives_up else 0)
        with pytest.raises(TrackingError, match="does not answer") as said:
            sync(folder, uri)
        assert "hunter2" not in str(said.value) + caplog.text and "somebody" not in str(said.value) + caplog.text
        assert "127.0.0.1" in folder.tracking_log.read_text()
        for file in folder.path.rglob("*"):
            assert file.is_dir() or b"hunter2" not in file.read_bytes(), file
        assert "hunter2" not in serve(folder, uri).url
