from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.tracking import drain, serve, start_follower
from archsearch.tracking.outbox import Outbox
from tests.experiment import fill


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com"])
def test_an_address_that_others_reach_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="no password"):
        serve(None, "sqlite:///m.db", host=host)


def test_a_port_in_use_is_refused_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}"):
            serve(None, "sqlite:///m.db", port=port)


def test_a_server_that_does_not_come_up_is_refused_with_its_last_words(tmp_path: Path, monkeypatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nfor number in 1 2 3 4 5 6 7 8 9; do echo line $number; done\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(RuntimeError) as refused:
        serve(None, f"sqlite:///{tmp_path}/m.db", port=free_port())
    assert str(refused.value).split("\n")[1:] == [f"line {number}" for number in (5, 6, 7, 8, 9)]


def test_a_server_of_somebody_elses_is_linked_to(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder) as ledger, Outbox(folder.outbox, "http://tracking:5000/") as outbox:
        outbox.remember("7", "parent")
        view = serve(folder, "http://tracking:5000/")
        assert (
            view.url
            == f"http://tracking:5000/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey={ledger.id}"
        )
    assert view.process is None and view.wait() == 0


@pytest.mark.slow
def test_the_page_answers_follows_through_an_outage_and_dies_with_its_parent(tmp_path: Path) -> None:
    port, uri = free_port(), f"sqlite:///{tmp_path}/mlflow.db"
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder) as ledger, folder.driver_lock():
        with serve(None, uri, port=port) as view:
            assert urllib.request.urlopen(view.url.split("#")[0]).status == 200
            follower = start_follower(folder, f"http://127.0.0.1:{port}")
            ledger.begin()
            for _ in range(3):
                fill.trial(ledger)
            until = time.monotonic() + 150
            while time.monotonic() < until and not _sent(folder, f"http://127.0.0.1:{port}", ledger):
                time.sleep(0.2)
            assert _sent(folder, f"http://127.0.0.1:{port}", ledger)
            os.kill(view.process.pid, signal.SIGSTOP)
            fill.trial(ledger)
            time.sleep(5)
            view.process.kill()
            view.process.wait()
        fill.trial(ledger)
        assert follower.poll() is None
        with serve(folder, uri, port=port):
            ledger.end("finished")
            assert drain(follower, 150), folder.tracking_log.read_text()
        from tests.tracking.test_follower import seen

        assert sorted(seen(uri, "a-search")) == [0, 1, 2, 3, 4, 5]
        assert all(len(r["metrics"]["val_accuracy"]) == 3 for n, r in seen(uri, "a-search").items() if n)

    port = free_port()
    code = (
        "import time; from archsearch.tracking import serve\n"
        f"print(serve(None, {uri!r}, port={port}).process.pid, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        server = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 10
    while time.monotonic() < until and Path(f"/proc/{server}").exists():
        time.sleep(0.1)
    assert not Path(f"/proc/{server}").exists()


def _sent(folder: ExperimentFolder, uri: str, ledger: Ledger) -> bool:
    if not folder.outbox.exists():
        return False
    with Outbox(folder.outbox, uri) as outbox:
        return outbox.cursor == ledger.last_event()
