from __future__ import annotations

import math
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, IllegalTransition, Ledger, State, Trial, TrialState
from archsearch.experiment.schema import VERSION
from archsearch.experiment.summary import summarise
from archsearch.reading.errors import InputError
from tests.experiment import fill


@pytest.fixture
def ledger(tmp_path: Path):
    with fill.new(ExperimentFolder(tmp_path / "search")) as ledger:
        yield ledger


def replay(ledger: Ledger) -> list[tuple]:
    """The trials and epochs that the events alone add up to."""
    trials: dict[int, list] = {}
    epochs: dict[int, dict[int, dict]] = {}
    for event in ledger.events():
        if event.trial is None:
            continue
        match event.kind:
            case "proposed":
                trials[event.trial] = ["waiting", 0, None, event.data["choices"], event.data["digest"]]
                epochs[event.trial] = {}
            case "started":
                trials[event.trial][0] = "running"
                trials[event.trial][1] += 1
                keep = event.data["resume_epoch"]
                epochs[event.trial] = {e: m for e, m in epochs[event.trial].items() if e <= keep}
            case "epoch":
                epoch = event.data["epoch"]
                kept = {e: m for e, m in epochs[event.trial].items() if e < epoch}
                epochs[event.trial] = {**kept, epoch: event.data["metrics"]}
            case "saved":
                pass
            case "requeued":
                trials[event.trial][0] = "waiting"
            case "promoted":
                trials[event.trial][0], trials[event.trial][2] = "waiting", None
            case "paused" | "finished" | "stopped" | "failed" as kind:
                trials[event.trial][0], trials[event.trial][2] = kind, event.data["value"]
    return [(n, *t, epochs[n], max(epochs[n], default=0)) for n, t in trials.items()]


def as_kept(ledger: Ledger) -> list[tuple]:
    return [
        (t.number, t.state.value, t.attempts, t.value, t.choices, t.digest, _epochs(ledger, t.number), t.epochs)
        for t in ledger.trials()
    ]


def test_a_trial_is_told_from_proposal_to_end(ledger: Ledger) -> None:
    trial = fill.propose(ledger, 4)
    assert (trial.number, trial.id, trial.state) == (1, "t0001", TrialState.WAITING)
    assert trial.choices == {"block": "basic", "stage1.depth": 4, "survival.last": 0.5, "pool": None}
    assert trial.seed == 2**62 + 4
    value = fill.train(ledger, 1, 5)
    ledger.finish(1, value)
    ended = ledger.trial(1)
    assert (ended.state, ended.value, ended.epochs, ended.attempts) == (TrialState.FINISHED, value, 5, 1)
    assert ended.created <= ended.started <= ended.ended
    assert [e.epoch for e in ledger.epochs(1)] == [1, 2, 3, 4, 5]
    assert [e.kind for e in ledger.events()] == ["proposed", "started", *["epoch"] * 5, "finished"]
    assert [e.id for e in ledger.events(after=6, limit=1)] == [7]


def test_the_last_two_states_of_a_trial_are_known(ledger: Ledger) -> None:
    fill.propose(ledger)
    ledger.start(1)
    for epoch in (1, 2, 3):
        ledger.epoch(1, epoch, {"val_accuracy": 0.5})
        ledger.state_kept(1, epoch, f"{epoch:064x}")
    assert [state.epoch for state in ledger.states(1)] == [3, 2]
    ledger.requeue(1, "interrupted")
    ledger.start(1, resume_epoch=2)  # the newest one was damaged
    assert [state.epoch for state in ledger.states(1)] == [2]
    ledger.epoch(1, 3, {"val_accuracy": 0.5})
    ledger.state_kept(1, 3, f"{9:064x}")
    assert [(state.epoch, state.digest) for state in ledger.states(1)] == [(3, f"{9:064x}"), (2, f"{2:064x}")]
    with pytest.raises(ValueError, match="kind"):
        ledger.note("saved", {})


def _epochs(ledger: Ledger, number: int) -> dict:
    return {e.epoch: e.metrics for e in ledger.epochs(number)}


REACH = {
    TrialState.WAITING: [],
    TrialState.RUNNING: ["start"],
    TrialState.PAUSED: ["start", "pause"],
    TrialState.FINISHED: ["start", "finish"],
    TrialState.STOPPED: ["start", "pause", "stop"],
    TrialState.FAILED: ["start", "fail"],
}
LEGAL = {
    TrialState.WAITING: {"start", "fail"},
    TrialState.RUNNING: {"epoch", "finish", "pause", "fail", "requeue"},
    TrialState.PAUSED: {"promote", "stop"},
}


def do(ledger: Ledger, what: str, number: int) -> None:
    arguments = {"epoch": (1, {"loss": 1.0}), "finish": (0.5,), "stop": (0.5, "r"), "fail": ("r",), "requeue": ("r",)}
    if what == "pause":
        ledger.pause(number, 0.5, rung=1)
    else:
        getattr(ledger, what)(number, *arguments.get(what, ()))


@pytest.mark.parametrize("what", ["start", "epoch", "finish", "pause", "promote", "stop", "fail", "requeue"])
@pytest.mark.parametrize("state", list(TrialState))
def test_only_legal_transitions_pass_and_the_others_change_nothing(
    ledger: Ledger, state: TrialState, what: str
) -> None:
    fill.propose(ledger)
    for step in REACH[state]:
        do(ledger, step, 1)
    before = (ledger.trial(1), ledger.events())
    assert before[0].state is state
    if what in LEGAL.get(state, ()):
        do(ledger, what, 1)
        assert len(ledger.events()) == len(before[1]) + 1
    else:
        with pytest.raises(IllegalTransition, match=f"t0001 is {state}"):
            do(ledger, what, 1)
        assert (ledger.trial(1), ledger.events()) == before


def test_a_trial_that_is_not_there_is_refused(ledger: Ledger) -> None:
    with pytest.raises(IllegalTransition, match="no trial 3"):
        ledger.start(3)


def test_a_second_attempt_supersedes_the_first_ones_epochs(ledger: Ledger) -> None:
    fill.propose(ledger)
    fill.train(ledger, 1, 4)
    ledger.requeue(1, "worker died")
    assert ledger.trial(1).reason == "worker died"
    ledger.start(1, resume_epoch=2)
    assert [e.epoch for e in ledger.epochs(1)] == [1, 2]
    ledger.epoch(1, 2, {"val_accuracy": 0.9})  # the checkpoint was not as new as was thought
    assert [(e.epoch, e.metrics.get("val_accuracy")) for e in ledger.epochs(1)] == [(1, 0.511), (2, 0.9)]
    assert (ledger.trial(1).epochs, ledger.trial(1).attempts) == (2, 2)
    ledger.requeue(1, "again")
    ledger.start(1)
    assert ledger.epochs(1) == [] and ledger.trial(1).epochs == 0
    assert as_kept(ledger) == replay(ledger)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_trial_ends_with_a_value_that_is_no_number(ledger: Ledger, value: float) -> None:
    fill.propose(ledger)
    ledger.start(1)
    with pytest.raises(ValueError, match="finite"):
        ledger.finish(1, value)
    with pytest.raises(ValueError, match="finite"):
        ledger.pause(1, value, rung=1)
    assert ledger.trial(1).state is TrialState.RUNNING
    ledger.epoch(1, 1, {"val_loss": value, "val_accuracy": 0.1})
    assert ledger.epochs(1)[0].metrics == {"val_loss": None, "val_accuracy": 0.1}


def test_the_best_is_the_best_finished_trial_and_the_earlier_of_equals(ledger: Ledger) -> None:
    assert ledger.best() is None
    for value in (0.5, 0.9, 0.9, 0.3):
        number = fill.propose(ledger).number
        ledger.start(number)
        ledger.finish(number, value)
    for _ in range(2):
        number = fill.propose(ledger).number
        ledger.start(number)
        ledger.pause(number, 0.99, rung=1)
    ledger.stop(number, 0.99, "neither a stopped trial nor a paused one is in the race")
    assert (ledger.best().number, ledger.best("min").number) == (2, 4)


def test_counts_rejections_and_states_agree_with_what_was_written(ledger: Ledger) -> None:
    for _ in range(8):
        fill.trial(ledger)
    ledger.reject(choices={"block": "basic"}, violations={"flops": 0.25}, cost={"flops": 50})
    fill.propose(ledger)
    counts = ledger.counts()
    assert (counts.finished, counts.stopped, counts.failed, counts.waiting) == (5, 2, 1, 1)
    assert (counts.rejected, counts.total, counts.ended) == (1, 9, 8)
    assert ledger.events_of("rejected")[0].data["violations"] == {"flops": 0.25}
    assert [t.number for t in ledger.trials(TrialState.STOPPED)] == [3, 6]
    assert as_kept(ledger) == replay(ledger)


def test_a_trial_pauses_at_a_rung_goes_on_and_the_rungs_add_up(ledger: Ledger) -> None:
    for number in (1, 2):
        fill.propose(ledger, number)
        value = fill.train(ledger, number, 1)
        ledger.state_kept(number, 1, f"{number:064x}")
        ledger.pause(number, value, rung=1)
    paused = ledger.trial(2)
    assert (paused.state, paused.value, paused.rung) == (TrialState.PAUSED, value, 1)
    assert ledger.states(2) == [State(trial=2, epoch=1, digest=f"{2:064x}")]
    assert not paused.state.ended and paused.ended is None
    counts = ledger.counts()
    assert (counts.paused, counts.ended, counts.total) == (2, 0, 2)
    ledger.promote(2, data={"share": 0.5})
    assert (ledger.trial(2).state, ledger.trial(2).value) == (TrialState.WAITING, None)
    ledger.start(2, resume_epoch=1)
    ledger.epoch(2, 2, {"val_accuracy": 0.7})
    ledger.requeue(2, "worker died")
    again = ledger.trial(2)
    assert (again.rung, again.epochs, len(ledger.states(2))) == (1, 2, 1)
    ledger.start(2, resume_epoch=1)
    assert [e.epoch for e in ledger.epochs(2)] == [1]
    ledger.epoch(2, 2, {"val_accuracy": 0.7})
    ledger.pause(2, 0.7, rung=2, bracket=1)
    ledger.correlate(1, -0.25, 6)
    ledger.correlate(1, 0.125, 7, corrected=0.375)
    told = [(r.bracket, r.epochs, r.trials, r.promoted, r.correlation, r.corrected, r.n) for r in ledger.rungs()]
    assert told == [(0, 1, 2, 1, 0.125, 0.375, 7), (1, 2, 1, 0, None, None, 0)]
    assert [e.data for e in ledger.events_of("promoted", trial=2)] == [{"share": 0.5, "rung": 1, "bracket": 0}]
    assert [e.data["correlation"] for e in ledger.events_of("correlated")] == [-0.25, 0.125]
    assert as_kept(ledger) == replay(ledger)
    with pytest.raises(ValueError, match="kind"):
        ledger.note("promoted", {})


def test_trials_come_in_the_order_in_which_they_were_first_known(ledger: Ledger) -> None:
    for number in range(1, 6):
        fill.propose(ledger, number)
    for number in (3, 1):
        ledger.start(number)
        ledger.pause(number, 0.5, rung=1)
    ledger.fail(5, "no memory")
    ledger.promote(1)
    ledger.start(1, resume_epoch=1)
    ledger.start(4)
    ledger.finish(1, 0.6)
    assert [trial.number for trial in ledger.trials_as_known()] == [3, 1, 5, 2, 4]
    assert [trial.state.value for trial in ledger.trials_as_known()][:2] == ["paused", "finished"]


def test_a_summary_asks_for_what_it_needs_and_not_for_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(range(1000))
    folder = ExperimentFolder(tmp_path / "search").create()
    with Ledger.create(folder.ledger, {"name": "s"}, clock=lambda: float(next(times))) as ledger:
        ledger.begin()  # 1
        fill.trial(ledger)
        ledger.note("tested", {"test_accuracy": 0.25}, trial=1)  # 8: and then it was killed
        ledger.begin()  # 9
        ledger.end("interrupted")  # 10
        ledger.begin()  # 11
        fill.trial(ledger)
        ledger.end("finished")  # 18
    monkeypatch.setattr(Ledger, "events", lambda *_: pytest.fail("it reads every event"))
    found = summarise(folder)
    assert found["seconds"] == 7 + 1 + 7
    assert (found["best"]["trial"], found["best"]["test_accuracy"]) == ("t0002", None)
    assert found["best"]["test_looks"] == 1
    assert {"finished", "stopped", "failed", "running", "paused", "total"} <= set(found["trials"])
    assert found["rungs"] == []


def test_the_session_is_what_was_last_recorded(ledger: Ledger) -> None:
    assert ledger.state == "interrupted"
    ledger.begin({"pid": 7})
    assert ledger.state == "running"
    ledger.end("interrupted", {"signal": 2})
    ledger.note("tested", {"trial": 1, "accuracy": 0.9})
    assert ledger.state == "interrupted"
    ledger.begin()
    ledger.end("finished")
    assert ledger.state == "finished"
    with pytest.raises(ValueError):
        ledger.end("running")
    for kind in ("finished", "began", "No Name", ""):
        with pytest.raises(ValueError, match="kind"):
            ledger.note(kind, {})


def test_events_can_neither_be_changed_nor_removed(ledger: Ledger) -> None:
    fill.propose(ledger)
    for statement in ("DELETE FROM events", "UPDATE events SET kind = 'x'"):
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            ledger._db.execute(statement)


def test_a_transaction_is_all_or_nothing(ledger: Ledger) -> None:
    with pytest.raises(IllegalTransition), ledger.transaction():
        fill.propose(ledger)
        ledger.start(1)
        ledger.start(1)
    assert ledger.trials() == [] and ledger.events() == []
    with pytest.raises(ValueError), ledger.transaction():
        ledger.reject(choices={}, violations={"flops": math.nan}, cost={})
    assert fill.propose(ledger).number == 1


def test_what_comes_afterwards_waits_until_it_is_durable_and_never_comes_after_a_failure(ledger: Ledger) -> None:
    seen: list[int] = []

    def look() -> None:
        with Ledger.read(ledger.path) as other:  # sees what is committed alone
            seen.append(other.last_event())

    before = ledger.last_event()
    with ledger.transaction():
        ledger.note("one", {})
        ledger.afterwards(look)
        with ledger.transaction():
            ledger.note("two", {})
        assert not seen
    assert seen == [before + 2]
    with pytest.raises(RuntimeError, match="of all things"), ledger.transaction():
        ledger.note("three", {})
        ledger.afterwards(look)
        raise RuntimeError("of all things")
    ledger.note("four", {})
    assert seen == [before + 2], "not even after the next one"
    ledger.afterwards(look)
    assert seen == [before + 2, before + 3], "outside of a transaction: at once"


def test_what_comes_beforehand_is_waited_for_and_its_failure_undoes_what_was_written(ledger: Ledger) -> None:
    before = ledger.last_event()

    def durable() -> None:
        with Ledger.read(ledger.path) as other:
            assert other.last_event() == before, "not yet"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), ledger.transaction():
        ledger.note("one", {})
        ledger.beforehand(durable)
    assert ledger.last_event() == before
    ledger.note("two", {})
    assert ledger.last_event() == before + 1, "of a transaction that failed nothing is left to do"


def test_who_is_first_best_and_shortest_is_what_a_look_at_all_would_say(ledger: Ledger) -> None:
    assert (ledger.first(TrialState.WAITING), ledger.best(state=TrialState.PAUSED), ledger.shortest()) == (
        None,
        None,
        0,
    )
    for number, (value, epochs) in enumerate(((0.5, 3), (0.7, 2), (0.7, 3)), start=1):
        fill.propose(ledger)
        ledger.start(number)
        for epoch in range(1, epochs + 1):
            ledger.epoch(number, epoch, {"validation_accuracy": value})
        if number < 3:
            ledger.finish(number, value)
    assert ledger.has(TrialState.PAUSED, TrialState.RUNNING)
    assert not ledger.has(TrialState.PAUSED, TrialState.FAILED)
    assert ledger.shortest() == 2
    ledger.pause(3, 0.7, rung=3)
    fill.propose(ledger)
    fill.propose(ledger)
    assert ledger.first(TrialState.WAITING) == ledger.trial(4)
    assert ledger.best(state=TrialState.PAUSED) == ledger.trial(3)


def test_a_full_disk_is_an_oserror_that_changes_nothing_and_the_ledger_goes_on(ledger: Ledger) -> None:
    fill.trial(ledger)
    before = ledger.events()
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="space"):
        while True:
            ledger.note("filler", {"text": "x" * 1000})
    kept = [e for e in ledger.events() if e.kind != "filler"]
    assert kept == before
    ledger._db.execute("PRAGMA max_page_count = 100000")
    assert fill.trial(ledger) == 2


def test_another_thread_may_not_touch_it(ledger: Ledger) -> None:
    caught: list[Exception] = []

    def write() -> None:
        try:
            ledger.begin()
        except sqlite3.ProgrammingError as error:
            caught.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert caught and ledger.events() == []


def test_readers_see_what_is_written_while_it_is_written_and_write_nothing(ledger: Ledger) -> None:
    with Ledger.read(ledger.path) as reader:
        for number in range(1, 6):
            fill.trial(ledger)
            assert reader.counts().ended == number
        with ledger.transaction():
            fill.propose(ledger)
            assert reader.counts().total == 5  # not yet
        assert reader.counts().total == 6
        with pytest.raises(OSError):
            reader.begin()
        assert reader.meta["name"] == "a-search" and reader.id == ledger.id and len(reader.id) == 32


def test_a_killed_writer_loses_nothing_that_it_was_told_is_safe(tmp_path: Path) -> None:
    path = tmp_path / "search" / "ledger.sqlite"
    fill.new(ExperimentFolder(path.parent)).close()
    promised = 0
    for _ in range(4):
        command = (
            f"from pathlib import Path; from tests.experiment import fill; fill.write_for_ever(Path({str(path)!r}))"
        )
        writer = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True)
        for _ in range(7):
            promised = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        promised = max([promised, *(int(line) for line in rest.split("\n")[:-1])])
        with Ledger.read(path) as reader:  # before any writer has repaired anything
            assert reader.state == "running"
            ended = [t.number for t in reader.trials() if t.state.ended]
        assert ended[:promised] == list(range(1, promised + 1))
        with Ledger.open(path) as ledger:
            assert as_kept(ledger) == replay(ledger)
            assert ledger.counts().total - promised <= 1
            for trial in ledger.trials(TrialState.RUNNING):
                ledger.requeue(trial.number, "driver died")
            for trial in ledger.trials(TrialState.WAITING):
                ledger.fail(trial.number, "killed")
            promised = ledger.counts().total
            assert ledger._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert promised >= 28


def test_a_log_cut_anywhere_in_its_last_record_loses_that_record_alone(tmp_path: Path) -> None:
    source = ExperimentFolder(tmp_path / "search")
    with fill.new(source) as ledger:
        fill.trial(ledger)
        wal = source.ledger.with_name("ledger.sqlite-wal")
        before, events = wal.stat().st_size, ledger.events()
        ledger.note("last", {"text": "x" * 3000})
        after, whole = wal.stat().st_size, ledger.events()
        for cut in [*range(before, after, 509), after - 1, after]:
            copy = tmp_path / f"cut{cut}"
            copy.mkdir()
            shutil.copy(source.ledger, copy)
            (copy / wal.name).write_bytes(wal.read_bytes()[:cut])
            with Ledger.open(copy / "ledger.sqlite") as opened:
                assert opened.events() == (whole if cut == after else events)
                assert fill.trial(opened) == 2


def test_a_clock_that_jumps_back_changes_no_order(tmp_path: Path) -> None:
    times = iter([1e9, 1e9, 1e9 - 86_400, *[1e9] * 100])
    ExperimentFolder(tmp_path / "search").create()
    with Ledger.create(tmp_path / "search" / "ledger.sqlite", {}, clock=lambda: next(times)) as ledger:
        fill.trial(ledger)
        assert [e.id for e in ledger.events()] == list(range(1, 7))
        assert ledger.events()[1].time < ledger.events()[0].time


@pytest.mark.parametrize(("version", "word"), [(VERSION - 1, "an older"), (VERSION + 1, "a newer")])
def test_another_version_is_refused_with_its_number(tmp_path: Path, version: int, word: str) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder) as ledger:
        ledger._db.execute(f"PRAGMA user_version = {version}")
    for opened in (Ledger.open, Ledger.read):
        with pytest.raises(InputError, match=rf"{word} archsearch: its format is {version}"):
            opened(folder.ledger)


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    text, other, empty = (tmp_path / name for name in ("text", "other", "empty"))
    text.write_text("not a database, but long enough to look like something " * 100)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    empty.touch()
    for path in (text, other, empty, tmp_path, tmp_path / "missing"):
        for opened in (Ledger.open, Ledger.read):
            with pytest.raises(InputError, match=path.name):
                opened(path)
    assert not (tmp_path / "missing").exists()
    assert text.read_text().startswith("not a database")


def test_a_ledger_is_never_written_over(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="exists already"):
        Ledger.create(ledger.path, {})
    assert sorted(p.name for p in ledger.path.parent.iterdir() if p.name.startswith(".")) == []


def test_a_ledger_in_a_folder_that_is_read_only_can_be_read(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    with fill.new(folder) as ledger:
        fill.trial(ledger)
    folder.path.chmod(0o500)
    try:
        with Ledger.read(folder.ledger) as reader:
            assert isinstance(reader.trial(1), Trial)
    finally:
        folder.path.chmod(0o700)
