"""The main job as a user runs it: the command line, a real Ray, a real MLflow store; killed and resumed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import archsearch
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder
from tests.faults.invariants import (
    check_gone,
    check_states,
    check_study,
    check_words,
    leave,
    left_behind,
    listening_beyond_loopback,
    marked,
)
from tests.tracking.stores import a_copy

SPACES = Path(__file__).parent.parent.parent / "search_spaces"
COMMAND = [sys.executable, "-m", "archsearch"]
DIGITS = str(SPACES / "digits.yaml")
TRIALS = 20
PATIENCE = 420.0  # seconds: generous, for a busy machine; nothing here is a claim about speed


def start(folder: Path, *words: str, env: "dict[str, str] | None" = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=env,
    )


def finish(process: "subprocess.Popen[str]", *, within: float = PATIENCE) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=within)
    return process.returncode, out, err


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


def ended(folder: Path) -> int:
    ledger = folder / "ledger.sqlite"
    query = "SELECT COUNT(*) FROM trials WHERE state IN ('finished', 'stopped', 'failed')"
    return rows(ledger, query)[0][0] if ledger.exists() else 0


def reached(folder: Path) -> int:
    """How often a trial has come to a rung or to its end."""
    ledger = folder / "ledger.sqlite"
    query = "SELECT COUNT(*) FROM events WHERE kind IN ('paused', 'finished', 'failed')"
    return rows(ledger, query)[0][0] if ledger.exists() else 0


def busy(folder: Path) -> int:
    """How many trials are training, as far as the driver has written."""
    return rows(folder / "ledger.sqlite", "SELECT COUNT(*) FROM trials WHERE state = 'running'")[0][0]


def states(folder: Path) -> list[Path]:
    """The states of paused trials on disk."""
    return sorted(folder.glob("trials/*/state-*.safetensors"))


def wait_for(condition: Any, *, within: float, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + within
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.05)


def lanes_of(driver: int) -> list[int]:
    """Ray's worker processes that train, below this driver's Ray."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            name = (entry / "cmdline").read_text() if entry.name.isdigit() else ""
        except OSError:
            continue
        if name.startswith(("ray::Lane", "ray::ResourceTrainable")) and _descends(int(entry.name), driver):
            found.append(int(entry.name))
    return found


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            return False
    return False


def check_whole(folder: Path, store: Path, trials: int) -> None:
    """As many trials as planned, each ended once, each one child in MLflow, nothing left running there."""
    ledger = folder / "ledger.sqlite"
    assert Counter(state for (state,) in rows(ledger, "SELECT state FROM trials")).total() == trials
    assert ended(folder) == trials
    ends = rows(ledger, "SELECT trial FROM events WHERE kind IN ('finished', 'stopped', 'failed')")
    assert sorted(trial for (trial,) in ends) == list(range(1, trials + 1))
    digests = [digest for (digest,) in rows(ledger, "SELECT digest FROM trials")]
    assert len(set(digests)) == trials
    statuses = dict(rows(store, "SELECT r.run_uuid, r.status FROM runs r WHERE r.lifecycle_stage = 'active'"))
    tags = rows(store, "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'")
    children = [(run, parent) for run, parent in tags if run in statuses]  # not those of epochs that were trained again
    assert len(children) == trials
    assert len({parent for _, parent in children}) == 1
    assert len(statuses) == trials + 1
    assert "RUNNING" not in statuses.values()


def check_document(document: dict[str, Any], folder: Path, trials: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What `--json` prints of a finished search of the digits."""
    assert {"experiment", "folder", "state", "trials", "best"} <= set(document)
    assert document["state"] == "finished"
    assert document["trials"]["total"] == trials
    assert document["trials"]["running"] == 0
    best = document["best"]
    assert {"trial", "value", "architecture", "params", "flops"} <= set(best)
    assert 0.5 < best["value"] <= 1
    assert document["trials"]["paused"] == 0
    assert [rung["epochs"] for rung in document["rungs"]][:1] == [1]
    assert document["rungs"][0]["trials"] == trials
    assert document["rungs"][0]["promoted"] >= 2
    assert 0.5 < best["test_accuracy"] <= 1
    assert best["flops"] <= 700_000
    assert best["params"] <= 60_000
    profile = printed(capsys, "profile", str(folder / "best.yaml"))
    assert (profile["params"], profile["flops"], profile["digest"]) == (best["params"], best["flops"], best["digest"])
    values = [value for (value,) in rows(folder / "ledger.sqlite", "SELECT value FROM trials WHERE state = 'finished'")]
    assert best["value"] == max(values)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The document that a quick verb prints, in this process."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds Ray's workers in /proc")
def test_interrupted_killed_and_worker_killed_it_still_ends_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], empty_store: str
) -> None:
    """Five ways to end a process in one search: Ctrl-C, two of them at once, a killed driver, a second driver that is
    refused, a killed worker. While it runs nothing listens but on this machine's loopback."""
    folder, store = tmp_path / "out", tmp_path / "mlruns" / "mlflow.db"
    experiment = ExperimentFolder(folder)
    a_copy(empty_store, store)
    # Enough trials that every lane still has one when a worker is killed, after three sessions' end: a lane without a
    # trial may die, and nothing is requeued.
    # On a busy machine it lasts long enough for the best to be trained longer, which are runs of their own.
    words = ["--set", "search.finish=none", "--output", str(folder)]
    process = start(tmp_path, "run", DIGITS, "--trials", str(TRIALS), *words)
    wait_for(lambda: reached(folder) >= 1, within=PATIENCE, process=process)
    os.kill(process.pid, signal.SIGINT)
    code, _, err = finish(process)
    assert code == 3, err
    assert f"archsearch resume {folder}" in err
    assert "Traceback" not in err
    kept = "SELECT number, digest, value, ended FROM trials WHERE ended IS NOT NULL"
    before, paused = rows(folder / "ledger.sqlite", kept), states(folder)

    mark = uuid.uuid4().hex
    process = resumed_until_a_rung(folder, env=marked(mark))
    alive = set(left_behind(mark))
    assert len(alive) > 3, "Ray's processes are not found by their mark"
    assert listening_beyond_loopback(alive) == []
    code, err, _ = leave(process, signal.SIGINT, signal.SIGINT)
    check_words(code, err, allowed={3})
    check_gone(mark)
    check_states(experiment)
    assert rows(folder / "ledger.sqlite", "PRAGMA integrity_check") == [("ok",)]

    process = resumed_until_a_rung(folder)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert printed(capsys, "status", str(folder))["state"] == "interrupted"

    process = start(tmp_path, "resume", str(folder), "--json")
    wait_for(experiment.is_driven, within=PATIENCE, process=process)
    live = archsearch.optuna_study(folder)
    assert live.get_trials()
    code, _, err = finish(start(tmp_path, "resume", str(folder)), within=60)
    assert code == 4, err
    assert len(err.splitlines()) <= 10
    wait_for(lambda: lanes_of(process.pid), within=PATIENCE, process=process)
    before_kill = reached(folder)
    wait_for(lambda: reached(folder) > before_kill, within=PATIENCE, process=process)
    wait_for(lambda: busy(folder) == len(lanes_of(process.pid)), within=PATIENCE, process=process)
    victim = lanes_of(process.pid)[0]
    os.kill(victim, signal.SIGKILL)
    code, out, err = finish(process)
    assert code == 0, err
    check_document(json.loads(out), folder, TRIALS, capsys)  # one document, and nothing else on stdout
    died = rows(
        folder / "ledger.sqlite", "SELECT trial FROM events WHERE kind = 'requeued' AND data LIKE '%worker died%'"
    )
    assert len(died) == 1
    check_whole(folder, store, TRIALS)
    check_study(experiment, live)
    assert set(before) <= set(rows(folder / "ledger.sqlite", kept)), "a trial that had ended was run again"
    assert paused, "nothing was paused when it was interrupted"
    assert not rows(folder / "ledger.sqlite", "SELECT * FROM events WHERE kind = 'state_lost'")
    assert not states(folder)


def resumed_until_a_rung(folder: Path, env: "dict[str, str] | None" = None) -> "subprocess.Popen[str]":
    """A session of `resume` in which one more trial has come to a rung or to its end."""
    before = reached(folder)
    process = start(folder.parent, "resume", str(folder), env=env)
    wait_for(lambda: reached(folder) > before, within=PATIENCE, process=process)
    return process
