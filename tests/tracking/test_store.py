"""The SQLite file of an MLflow store."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from archsearch.tracking.store import make_database


def test_tables_that_were_half_made_are_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.db import utils

    def killed(engine) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE registered_models (name TEXT)")
        raise KeyboardInterrupt

    database = tmp_path / "runs 100%" / "mlflow.db"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(utils, "_initialize_tables", killed)
        make_database(database)
    assert list(database.parent.iterdir()) == []

    make_database(database)
    assert list(database.parent.iterdir()) == [database]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name, artifact_location FROM experiments").fetchall() == [
            ("Default", (database.parent / "artifacts" / "0").as_uri())
        ]
    before = database.stat()
    make_database(database)
    assert database.stat() == before
