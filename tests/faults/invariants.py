"""What must hold after every fault: I1 to I6 of docs/reliability.md, in the ledger, the files, MLflow and /proc."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.predictions import Predictions, predictions_of
from archsearch.experiment.winner import winner_of
from archsearch.study.storage import optuna_study
from tests.experiment.test_ledger import as_kept, replay

CODES = {0, 1, 2, 3, 4}
PATIENCE = 600.0  # seconds: for a busy machine
MARK = "ARCHSEARCH_FAULT_TEST"  # in the environment of whatever a test starts, and so of all that this starts


def ended(folder: ExperimentFolder) -> set[tuple[Any, ...]]:
    """The trials that have ended, as nothing may ever change them again."""
    if not folder.ledger.exists():
        return set()
    with Ledger.read(folder.ledger) as ledger:
        return {(t.number, t.digest, t.state, t.value, t.ended) for t in ledger.trials() if t.state.ended}


def story(folder: ExperimentFolder) -> dict[int, tuple[Any, ...]]:
    """What each trial was, measured and became, without times and attempts: equal for equal searches."""
    with Ledger.read(folder.ledger) as ledger:
        curves: dict[int, list[Any]] = {}
        for epoch in ledger.epochs():
            metrics = {key: value for key, value in epoch.metrics.items() if "second" not in key}
            curves.setdefault(epoch.trial, []).append((epoch.epoch, metrics))
        paused = [(e.trial, e.data["rung"], e.data["value"]) for e in ledger.events_of("paused")]
        promoted = [(e.trial, e.data["rung"]) for e in ledger.events_of("promoted")]
        return {0: (paused, promoted)} | {
            t.number: (t.digest, t.seed, t.state, t.value, t.rung, t.reason, curves.get(t.number, []))
            for t in ledger.trials()
        }


def check_whole(folder: ExperimentFolder, *, planned: int, before: set[tuple[Any, ...]] = frozenset()) -> None:  # type: ignore[assignment]
    """A search that was hurt and went on has ended as if nothing had happened."""
    with Ledger.open(folder.ledger) as ledger:
        assert ledger._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert as_kept(ledger) == replay(ledger), "the tables are not what the events add up to"
        trials, best = ledger.trials(), ledger.best()
        ends = Counter(e.trial for e in ledger.events_of("finished", "stopped", "failed"))
        assert before <= ended(folder), "I1: a trial that had ended was lost or changed"
        assert {t.number for t in trials if t.state.ended} == set(ends), "I1: an end and no trial, or the reverse"
        assert set(ends.values()) <= {1}, "I2: a trial ended twice"
        assert len({t.digest for t in trials}) == len(trials), "I2: a network was trained twice"
        assert len(trials) == planned, "I3: the number of trials is not the budget"
        assert all(t.state.ended for t in trials), "I4: a trial is left waiting, running or paused"
        assert ledger.state == "finished" and not folder.is_driven(), "I4: the search is left running"
        assert best is not None and best.value == max(t.value for t in ledger.trials(TrialState.FINISHED))
        looks = [event.kind for event in ledger.events_of("tested", "test_failed", "finish_tested")]
        assert looks in (["tested"], ["finish_tested"]), f"the winner was not tested once: {looks}"
        assert not ledger.events_of("state_lost")
    check_study(folder)
    with Ledger.read(folder.ledger) as ledger:
        winner = winner_of(folder, ledger)
        assert isinstance(predictions_of(folder, ledger, winner), Predictions), "what the winner outputs was lost"
    assert winner is not None and winner.weights.stat().st_size > 0
    assert digest(Architecture.from_yaml(folder.best_yaml)) == winner.trial.digest
    if winner.of != "search":  # one that was trained longer at the end
        assert digest(Architecture.from_yaml(folder.best_of_search)) == best.digest
    assert (folder.trial(best.number) / "weights.safetensors").stat().st_size > 0
    assert not list(folder.path.glob("trials/*/state-*")), "a state outlived its trial"
    assert not list(folder.path.rglob(".*.tmp")), "a half-written file was left"


def check_study(folder: ExperimentFolder, study: optuna.Study | None = None) -> None:
    """Optuna's reading (made anew, or this one, which has followed) says of every trial what the ledger says."""
    reading = study or optuna_study(folder)
    trials = reading.get_trials(deepcopy=False)
    reading._storage.remove_session()
    with Ledger.read(folder.ledger) as ledger:
        recorded, curves = ledger.trials(), dict[int, dict[int, Any]]()
        for epoch in ledger.epochs():
            curves.setdefault(epoch.trial, {})[epoch.epoch] = epoch.metrics["validation_accuracy"]
        objectives = [*ledger.meta["objectives"]]
    ends = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    assert [t.number for t in trials] == [t.number - 1 for t in recorded]
    for trial, kept in zip(trials, recorded, strict=True):
        assert trial.state.name == ends.get(kept.state, "RUNNING" if kept.attempts else "WAITING")
        measured = [kept.value if name == "accuracy" else kept.cost[name] for name in objectives]
        assert trial.values == (measured if kept.state in ("finished", "stopped") else None)
        assert trial.intermediate_values == curves.get(kept.number, {})
        assert (trial.params, trial.user_attrs["digest"]) == (kept.choices, kept.digest)


def check_states(folder: ExperimentFolder) -> None:
    """Between two sessions: the last state of every paused trial is on disk, whole, unless half of all trials were
    better at its rung, so that it can never be promoted."""
    with Ledger.read(folder.ledger) as ledger:
        scores = [(e.data["rung"], e.data["value"]) for e in ledger.events_of("paused")]
        for trial in ledger.trials(TrialState.PAUSED):
            state = ledger.states(trial.number)[0]
            assert state.epoch == trial.rung
            path = folder.trial(trial.number) / f"state-{trial.rung}.safetensors"
            if path.exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == state.digest
            else:
                better = [value for rung, value in scores if rung == trial.rung and value >= trial.value]
                assert 2 * len(better) > ledger.meta["trials"]


def check_tracking(folder: ExperimentFolder, uri: str) -> None:
    """MLflow's store, SQLite or PostgreSQL: one run a trial, every epoch of the ledger once, nothing left RUNNING."""
    with asking(uri) as ask, Ledger.read(folder.ledger) as ledger:
        found = ask(
            "SELECT r.run_uuid, r.status, t.value FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid AND "
            "t.key = 'archsearch.trial' JOIN tags e ON e.run_uuid = r.run_uuid AND e.key = 'archsearch.experiment_id' "
            "WHERE e.value = ? AND r.lifecycle_stage = 'active'",
            (ledger.id,),
        )
        runs = Counter(int(trial) for _, _, trial in found)
        assert set(runs.values()) == {1}, "I2: a trial has two runs"
        assert set(runs) == {0, *(t.number for t in ledger.trials() if t.attempts)}, "I1: a trial has no run"
        assert "RUNNING" not in {status for _, status, _ in found}, "I4: a run is left RUNNING"
        for run, _, trial in found:
            query = "SELECT step, value, timestamp FROM metrics WHERE run_uuid = ? AND key = 'validation_accuracy'"
            points = sorted(ask(query, (run,)))
            epochs = ledger.epochs(int(trial)) if int(trial) else []  # those trained again as they were then
            said = [(e.epoch, e.metrics["validation_accuracy"], round(e.time * 1000)) for e in epochs]
            assert points == said, f"trial {trial}: {set(points) ^ set(said)} are missing, or there twice"


@contextmanager
def asking(uri: str) -> Iterator[Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """Questions to a database in SQL, with ? for each parameter."""
    if uri.startswith("sqlite:///"):
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as db:
            yield lambda query, given: db.execute(query, given).fetchall()
        return
    import psycopg2

    with closing(psycopg2.connect(uri)) as db, db.cursor() as cursor:

        def ask(query: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            cursor.execute(query.replace("?", "%s"), given)
            return list(cursor.fetchall())

        yield ask


def check_words(code: int, stderr: str, *, allowed: set[int] | None = None) -> None:
    """I6: a documented exit code, and a message of at most ten lines without a traceback."""
    assert code in (allowed or CODES), f"exit code {code}: {stderr}"
    assert "Traceback" not in stderr, stderr
    lines = stderr.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith("archsearch:")), 0 if code else len(lines))
    assert len(lines) - first <= 10, stderr


def marked(value: str) -> dict[str, str]:
    """The environment for a process whose whole offspring `left_behind` can find."""
    return {**os.environ, MARK: value}


def left_behind(value: str) -> Mapping[int, str]:
    """The living processes with that mark, and what they are."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={value}\0".encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:100]
        except OSError:
            continue
    return found


def check_gone(value: str, *, within: float = 30.0) -> float:
    """I5: nothing of it lives any more so many seconds later; how long that took."""
    began = time.monotonic()
    while alive := left_behind(value):
        assert time.monotonic() - began < within, f"I5: left after {within} s: {alive}"
        time.sleep(0.2)
    return time.monotonic() - began


def listening_beyond_loopback(pids: set[int]) -> list[str]:
    """Addresses that these processes listen on and that other machines can reach."""
    sockets = set()
    for pid in pids:
        try:
            links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        sockets |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found = []
    for table, loopback in (
        ("tcp", ("0100007F",)),
        ("tcp6", ("0" * 24 + "01000000", "0000000000000000FFFF00000100007F")),
    ):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address = fields[1].partition(":")[0]
            if fields[3] == "0A" and fields[9] in sockets and address not in loopback:
                found.append(f"{table} {fields[1]}")
    return found


def leave(process: subprocess.Popen[str], *signals: int, between: float = 0.5) -> tuple[int, str, float]:
    """Sends them; the exit code, what was said, and the seconds from the last signal to the end."""
    for number, what in enumerate(signals):
        if number:
            time.sleep(between)
        if process.poll() is None:
            process.send_signal(what)
    began = time.monotonic()
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said, time.monotonic() - began
