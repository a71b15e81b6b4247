"""An experiment that is there already: its best so far, `run` beside it, and `ui`, which opens before it registers."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from archsearch import tracking
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from tests.cli.test_searches import SMALL, experiment


@pytest.fixture
def small(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def test_status_of_an_interrupted_search_has_its_best_so_far_first(small: Path, capsys) -> None:
    folder = experiment(small.parent, "one", state=None)
    words = {"choices": {}, "architecture": {}, "cost": dict.fromkeys(("params", "flops", "macs", "activations"), 9)}
    with Ledger.open(folder.ledger) as ledger:
        for number, accuracies in ((3, [0.2]), (4, [0.7, 0.8])):
            ledger.propose(digest=f"{number:016x}", seed=number, **words)
            ledger.start(number)
            for epoch, accuracy in enumerate(accuracies, 1):
                ledger.epoch(number, epoch, {"epoch": epoch, "validation_accuracy": accuracy})
            ledger.requeue(number, "interrupted")
        ledger.end("interrupted")
    assert main(["status", "one"]) == 0
    said = capsys.readouterr().out
    assert "best        trial t0002," in said, "the best that has finished is what would be handed over"
    assert "ahead       trial t0004 so far, 80.00 % on validation after 2 epochs; not finished" in said
    assert "trials      2 of 2: 2 finished, 0 stopped early, 0 failed, 0 running, 2 waiting" in said
    rows = [line.split()[:4] for line in said.splitlines() if line.startswith("t0")]
    assert [row[0] for row in rows] == ["t0002", "t0001", "t0004", "t0003"]
    assert rows[2] == ["t0004", "waiting", "2", "80.00"]
    assert main(["status", "one", "--json"]) == 0
    so_far = json.loads(capsys.readouterr().out)["best_so_far"]
    expected = {"trial": "t0004", "value": 0.8, "epochs": 2, "state": "waiting"}
    assert {name: so_far[name] for name in expected} == expected
    with Ledger.open(folder.ledger) as ledger:
        ledger.start(4, resume_epoch=1)
    assert main(["status"]) == 0
    assert "2/2" in capsys.readouterr().out
    assert main(["status", "one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best_so_far"]["trial"] == "t0002", "what is superseded counts no more"


def test_a_run_beside_an_interrupted_search_says_resume_and_begins_anew_only_with_new(small: Path, capsys) -> None:
    words = ["run", str(small), "--trials", "1", "--dry-run", "--json"]
    for name, state in (("small", "finished"), ("small-2", None)):
        folder = experiment(small.parent, name, state=state)
    kept = {path: path.read_bytes() for path in (small.parent / "experiments").rglob("*") if path.is_file()}
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "experiments/small-2: the experiment small-2 was interrupted",
        "  hint: `archsearch resume small-2` continues it; --new starts another one in experiments/small-3",
    ]
    assert said.out == ""
    for more, name in ((["--new"], "small-3"), (["--new", "--name", "small"], "small-3"), (["--name", "b"], "b")):
        assert main([*words, *more]) == 0
        assert json.loads(capsys.readouterr().out)["experiment"] == name
    assert {path: path.read_bytes() for path in kept} == kept, "what there is stays as it is"
    with folder.driver_lock():  # it runs: another beside it is no mistake
        assert main(words) == 0
    empty = ExperimentFolder(small.parent / "experiments" / "small-3").create()
    Ledger.create(empty.ledger, {"name": "small-3"}).close()
    assert main(words) == 0, "no trial of it had begun"
    shutil.rmtree(empty.path)
    folder.ledger.write_bytes(b"no ledger")
    assert main(words) == 0, "nobody can resume that"


@pytest.mark.slow
def test_uis_pages_open_in_a_real_process_before_anything_is_registered(small: Path) -> None:
    experiment(small.parent, "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "archsearch", "ui", "one", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert url.startswith(f"http://127.0.0.1:{port}/#/experiments/")
            assert urllib.request.urlopen(url.partition("#")[0]).status == 200
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in said
    assert said.splitlines()[0].startswith("sending MLflow ") and "starting MLflow's pages" in said


def test_ui_looks_at_its_address_first_and_opens_before_it_registers(small: Path, capsys, monkeypatch) -> None:
    folder, happened = experiment(small.parent, "one"), []

    def serve(*_: object) -> tracking.View:
        happened.append("open")
        return tracking.View(url="http://127.0.0.1:5000/#/experiments", process=None)

    def sync(*_: object) -> tracking.Sent:
        happened.append("sync")
        return tracking.Sent(sent=1, remaining=0, refused=[])

    for name, stand_in in (("serve", serve), ("sync", sync), ("register", lambda *_: happened.append("register"))):
        monkeypatch.setattr(f"archsearch.tracking.{name}", stand_in)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, problem in ((["--port", port], f"port {port}"), (["--host", "0.0.0.0"], "no password")):
            assert main(["ui", "one", *words]) == 2
            said = capsys.readouterr()
            assert problem in said.err and said.out == "" and happened == []
    assert main(["ui", "one"]) == 0
    assert happened == ["sync", "open", "sync", "register"], "MLflow has no page of it before the first"
    said = capsys.readouterr()
    assert said.out == "http://127.0.0.1:5000/#/experiments\n"
    assert [line.split()[0] for line in said.err.splitlines()] == [
        "sending",
        "starting",
        "sending",
        "meanwhile",
        "MLflow",
    ]
    happened.clear()
    monkeypatch.setattr("archsearch.tracking.page_of", lambda *_: "http://127.0.0.1:5000/#/experiments/1")
    assert main(["ui", "one"]) == 0
    assert happened == ["open", "sync", "register"]
    happened.clear()
    with folder.driver_lock():
        assert main(["ui", "one"]) == 0
    assert happened == ["open"], "its driver sends"
