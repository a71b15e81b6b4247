"""Optuna's dashboard over a ledger: it follows, and whoever clicks there alters nothing."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.study.dashboard import address, dashboard
from tests.faults.driving import drive, new

pytest.importorskip("optuna_dashboard")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = new(tmp_path_factory.mktemp("dashboard"), "search.objectives={accuracy: max, params: min}")
    drive(folder)
    return folder


def test_it_shows_every_trial_and_refuses_to_write(folder: ExperimentFolder) -> None:
    before = folder.ledger.read_bytes()
    with dashboard(folder, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = address(server).partition("/dashboard")[0]

        def ask(path: str, data: Any = None) -> Any:
            body = None if data is None else json.dumps(data).encode()
            request = urllib.request.Request(root + path, body, {"Content-Type": "application/json"})
            return json.loads(urllib.request.urlopen(request, timeout=20).read())

        assert urllib.request.urlopen(address(server), timeout=20).status == 200
        study = ask("/api/studies/1")
        with Ledger.read(folder.ledger) as ledger:
            assert len(study["trials"]) == len(ledger.trials()) == 8
        assert study["objective_names"] == ["accuracy", "params"] and study["best_trials"]
        for path, data in (
            ("/api/trials/0/user-attrs", {"user_attrs": {"digest": "mine"}}),
            ("/api/trials/0/tell", {"state": "Fail"}),
            ("/api/studies", {"study_name": "mine", "directions": ["minimize"]}),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask(path, data)
            assert refused.value.code == 403
        server.shutdown()
    assert folder.ledger.read_bytes() == before


def test_without_the_package_the_line_that_installs_it_is_told(
    folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna_dashboard", None)
    with pytest.raises(InputError, match=r"pip install 'archsearch\[dashboard\]'"):
        dashboard(folder, "127.0.0.1", 0)


def test_the_command_refuses_other_machines_and_no_experiment(
    folder: ExperimentFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", str(folder.path), "--optuna", "--host", "0.0.0.0"]) == 2
    assert "Optuna's dashboard would be open to everybody" in capsys.readouterr().err
    assert main(["ui", "--optuna"]) == 2
    assert "without an experiment" in capsys.readouterr().err
