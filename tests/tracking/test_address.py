"""A store that MLflow would never take is refused before a search begins, and nothing is written."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.reading.errors import InputError
from archsearch.tracking import refuse_unusable_store


@pytest.fixture(autouse=True)
def _no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name, raising=False)


FOLDERS = ["file:///tmp/runs", "file:runs", "/tmp/runs", "./mlruns", "mlruns", "file://user:pw@h/x"]


@pytest.mark.parametrize("uri", FOLDERS)
def test_a_folder_is_refused_by_name_with_the_way_out(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is a folder") as refused:
        refuse_unusable_store(uri)
    assert "sqlite:///" in str(refused.value) and "pw" not in str(refused.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        refuse_unusable_store(None)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow's own switch holds
    refuse_unusable_store(uri)


def test_a_database_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, but a text that is long enough to be looked at as one, and read")
    (tmp_path / "folder.db").mkdir()
    for uri in ("sqlite:///text.db", "sqlite:///folder.db", "sqlite:///text.db/mlflow.db"):
        with pytest.raises(InputError, match="sqlite:///PATH"):
            refuse_unusable_store(uri)


def test_whatever_may_work_is_let_through_and_nothing_is_made(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "there.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    before = sorted(tmp_path.iterdir())
    for uri in (
        None, "sqlite:///there.db", "sqlite:///new/folder/m.db", "http://127.0.0.1:1", "https://user:pw@host/x",
        "postgresql://user:pw@host/db", "databricks", "databricks://profile",
    ):  # fmt: skip
        refuse_unusable_store(uri)
    assert sorted(tmp_path.iterdir()) == before


def test_run_refuses_it_before_there_is_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("archsearch: 1\nname: a\nspace: {stages: 1, depth: {int: [1, 2]}, width: 4}\n")
    command = [sys.executable, "-m", "archsearch", "run", "a.yaml", "--tracking-uri", "file:///tmp/runs"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 2 and "is a folder" in process.stderr
    assert not (tmp_path / "experiments").exists()
