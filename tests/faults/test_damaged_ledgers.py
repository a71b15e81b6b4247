"""A ledger that is damaged, crafted or cut is bad input for every verb, and never an internal error."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsearch.analysis.report import document, page, read_experiment
from archsearch.api.reporting import drawn_at_random
from archsearch.cli import main
from archsearch.cli.showing.following import _board
from archsearch.cli.verbs.status import _print_top
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.schema import _TABLES
from archsearch.experiment.shapes import check_event
from archsearch.experiment.summary import summarise
from archsearch.experiment.verifying import _Replay
from archsearch.experiment.winner import winner_of
from archsearch.export.selection import kept_weights, select
from archsearch.reading.errors import InputError
from archsearch.search.agreement import refuse_if_changed
from archsearch.search.confirming.contenders import top_of
from archsearch.search.deciding.search import Search
from archsearch.search.proposing.warm_start import carry_over
from archsearch.space.loading import load_space
from archsearch.tracking.files import description_of, files_of
from archsearch.tracking.translate import costs, params_of, updates
from tests.faults.driving import drive, in_a_child, new
from tests.faults.invariants import check_words
from tests.search.local import Silent

RAW = [b"NaN", b"-Infinity", b"1e999", b"9" * 400, b'"\\ud800"', b"[" * 5000 + b"]" * 5000, b"[", b"", b"\xff"]
EVIL: list[Any] = [
    None, True, -1, 0, 1, 0.5, 1e308, -1e308, 2**62, 2**70, 10**400, "", "abc", "\x1b[31m", "../../x", "0" * 16, [], {},
    [[1]], {"a": {}}, [None], "finished", {"a": 1e300}, {"accuracy": 2**62},
]  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search that was killed once, with notes of several kinds."""
    folder = new(tmp_path_factory.mktemp("searched"))
    assert in_a_child(lambda: drive(folder), crash="epoch-after:5") == -9
    drive(folder)
    with Ledger.open(folder.ledger) as ledger:
        result = {"choices": ledger.trial(1).choices, "costs": ledger.trial(1).cost, "curve": {"1": 0.5}}
        ledger.note("warm_start", {"source": "y", "known": [result], "within_budget": 1, "left": {}})
        ledger.note("precision", {"precision": "float32", "text": "float32"})
        ledger.note("confirmed", {"winner": "t0001", "weights": "0" * 64}, trial=1)
    return folder


def copied(folder: ExperimentFolder, place: Path) -> ExperimentFolder:
    shutil.rmtree(place / "x", ignore_errors=True)
    return ExperimentFolder(Path(shutil.copytree(folder.path, place / "x")))


def editor(folder: ExperimentFolder) -> sqlite3.Connection:
    """As somebody else would write it: without a check, and with the same tables in the end."""
    db = sqlite3.connect(folder.ledger, isolation_level=None)
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute("DROP TRIGGER events_never_change")
    db.execute("DROP TRIGGER events_never_go")
    return db


def put_back(db: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";\n"):
        if "CREATE TRIGGER" in statement:
            db.execute(statement + (";\n    END" if "END" not in statement else ""))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


# ---- everything that a verb reads of a ledger


def read_all(folder: ExperimentFolder, place: Path) -> None:
    summary = summarise(folder)
    json.dumps(summary)
    _print_top(folder, summary)
    with Ledger.read(folder.ledger) as ledger:
        space = load_space(folder.space_yaml)
        for update in updates(ledger.events()):
            assert update.trial >= 0
        for trial in ledger.trials():
            files_of(trial.architecture), params_of(trial), costs(trial)
        description_of(folder, ledger, winner_of(folder, ledger))
        top_of(ledger, space, 3)
        refuse_if_changed(folder, ledger, trials=space.search.trials, force=False)
        _board(folder, ledger)
    reading = read_experiment(folder, drawn_at_random(folder))
    page(reading, document(reading))
    kept_weights_of_best(folder)
    carry_over(space, folder)


def kept_weights_of_best(folder: ExperimentFolder) -> None:
    selection = select(folder, None)
    with pytest.raises(InputError):  # those of these tests are no tensors
        kept_weights(selection)


def resumed(folder: ExperimentFolder) -> None:
    with folder.driver_lock(), Ledger.open(folder.ledger) as ledger:
        Search(space=load_space(folder.space_yaml), folder=folder, ledger=ledger, observer=Silent())


def outcome(folder: ExperimentFolder, place: Path) -> str:
    """`refused` or `read`; any other exception is a failure of the test."""
    try:
        Ledger.read(folder.ledger).close()
    except InputError as error:
        assert "\n" not in str(error).split("\n  hint")[0]
        return "refused"
    try:
        read_all(folder, place)
        resumed(folder)
    except InputError:
        return "refused"
    return "read"


# ---- damage


def flipped(folder: ExperimentFolder, rng: random.Random) -> str:
    data = bytearray(folder.ledger.read_bytes())
    places = [rng.randrange(len(data)) for _ in range(rng.choice([1, 2, 8]))]
    for at in places:
        data[at] ^= 1 << rng.randrange(8)
    folder.ledger.write_bytes(data)
    return f"bits flipped at {places}"


def cut(folder: ExperimentFolder, rng: random.Random) -> str:
    data = folder.ledger.read_bytes()
    at = rng.randrange(len(data))
    folder.ledger.write_bytes(data[:at] if rng.random() < 0.5 else data[:at] + bytes(len(data) - at))
    return f"cut at {at}"


def row_changed(folder: ExperimentFolder, rng: random.Random) -> str:
    db = editor(folder)
    table = rng.choice(["trials", "epochs", "states", "rungs", "events", "meta"])
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    column, keys = rng.choice(columns), {"trials": "number", "events": "id", "meta": "key"}
    value: Any = rng.choice([*EVIL, *RAW])
    value = (
        json.dumps(value)
        if isinstance(value, dict | list | bool) or (isinstance(value, int) and value > 2**63)
        else value
    )
    rows = db.execute(f"SELECT * FROM {table}").fetchall()
    row = rng.choice(rows)
    where = f"{keys[table]} = ?" if table in keys else " AND ".join(f"{name} IS ?" for name in columns)
    arguments = (row[0],) if table in keys else row
    try:
        if rng.random() < 0.2:
            db.execute(f"DELETE FROM {table} WHERE {where}", arguments)
        else:
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *arguments))
    except sqlite3.Error:
        pass  # a constraint that holds in any case
    put_back(db)
    return f"{table}.{column} of {arguments!r:.60} is {value!r:.60}"


def crafted(folder: ExperimentFolder, rng: random.Random) -> str:
    """One field of the events changed, and all tables made anew from them: consistent, as somebody would who knows."""
    db = editor(folder)
    events = db.execute("SELECT id, time, kind, trial, data FROM events ORDER BY id").fetchall()
    wanted = rng.choice(sorted({event[2] for event in events}))
    at = rng.choice([index for index, event in enumerate(events) if event[2] == wanted])
    number, time, kind, trial, text = events[at]
    data = json.loads(text)
    inner, path = data, []
    while True:
        key = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner))) if inner else None
        path.append(key)
        below = inner[key] if key is not None else None
        if key is None or not isinstance(below, dict | list) or not below or rng.random() < 0.4:
            break
        inner = below
    value = rng.choice(EVIL)
    if key is not None:
        if rng.random() < 0.15 and isinstance(inner, dict):
            del inner[key]
        else:
            inner[key] = value
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    events[at] = (number, time, kind, trial, text)
    db.execute("UPDATE events SET data = ? WHERE id = ?", (text, number))
    told(db, events)
    put_back(db)
    return f"{kind} {path} is {value!r:.60}"


def told(db: sqlite3.Connection, events: list[tuple[Any, ...]]) -> None:
    """The tables as these events tell, where they do."""
    replay = _Replay()
    try:
        for _, time, kind, trial, text in events:
            replay.apply(kind, trial, time, check_event(kind, trial, text), text)
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    db.execute("PRAGMA foreign_keys = OFF")
    for table in ("trials", "epochs", "states", "rungs"):
        db.execute(f"DELETE FROM {table}")
    for number, t in enumerate(replay.trials, 1):
        p = {name: json.dumps(t.proposal[name], ensure_ascii=False) for name in ("choices", "architecture", "cost")}
        row = (number, t.state, t.proposal["seed"], p["choices"], p["architecture"], t.proposal["digest"], p["cost"],
               t.attempts, t.created, t.started, t.ended, t.value, t.epoch, t.reason, t.rung)  # fmt: skip
        db.execute(f"INSERT INTO trials VALUES ({', '.join('?' * len(row))})", row)
        for epoch, (text, time) in t.epochs.items():
            metrics = json.dumps(json.loads(text)["metrics"])
            db.execute("INSERT INTO epochs VALUES (?, ?, ?, ?)", (number, epoch, metrics, time))
        for epoch, digest in t.states.items():
            db.execute("INSERT INTO states VALUES (?, ?, ?)", (number, epoch, digest))
    for key, values in replay.rungs.items():
        db.execute("INSERT INTO rungs VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, *values))


def damages(
    searched: ExperimentFolder, place: Path, way: Any, seeds: range
) -> Iterator[tuple[str, str, ExperimentFolder]]:
    for seed in seeds:
        folder = copied(searched, place)
        damage = way(folder, random.Random(f"{way.__name__} {seed}"))
        try:
            yield outcome(folder, place), damage, folder
        except InputError:
            raise
        except Exception as error:
            raise AssertionError(f"seed {seed}: {damage}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize(
    ("way", "count"),
    [
        *((flipped, 40), (cut, 12), (row_changed, 60), (crafted, 60)),
        *(pytest.param(way, 300, marks=pytest.mark.slow) for way in (flipped, cut, row_changed, crafted)),
    ],
)
def test_damage_is_refused_or_read_and_never_an_internal_error(
    searched: ExperimentFolder, tmp_path: Path, way: Any, count: int
) -> None:
    whole = rows(searched)
    outcomes = []
    for result, damage, folder in damages(searched, tmp_path, way, range(count)):
        outcomes.append(result)
        if result == "read" and way is not crafted:
            # What has no second copy may be read: a note, a superseded epoch, free pages.
            assert rows(folder)[1:] == whole[1:], damage
    assert outcomes.count("refused") > len(outcomes) / 4


def rows(folder: ExperimentFolder) -> list[list[tuple[Any, ...]]]:
    with sqlite3.connect(folder.ledger) as db:
        return [db.execute(f"SELECT * FROM {table}").fetchall() for table in
                ("events", "trials", "epochs", "states", "rungs")]  # fmt: skip


# ---- what a person meets


def refused_by_every_verb(folder: ExperimentFolder, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, before = str(folder.path), folder.ledger.read_bytes()
    verbs = (["status", name], ["resume", name], ["report", name], ["sync", name], ["ui", name], ["export", name],
             ["confirm", name], ["compare", name, name], ["resume", name, "--trials", "20"])  # fmt: skip
    for words in verbs:
        code = main(words)
        said = capsys.readouterr()
        check_words(code, said.err, allowed={2})
        assert word in said.err and said.out == "", words
    assert folder.ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE trials SET value = 0.99 WHERE state = 'finished'", "does not match its events"),
        ("UPDATE trials SET value = 'abc' WHERE number = 1", "does not match its events"),
        ("UPDATE trials SET architecture = '{' WHERE number = 1", "trial 1 does not match its events"),
        ("DELETE FROM epochs WHERE trial = 2 AND epoch = 1", "epochs were measured"),
        ("UPDATE epochs SET metrics = '[]'", "does not match its event"),
        ("UPDATE rungs SET promoted = promoted + 1", "its rungs do not match its events"),
        ("DELETE FROM events WHERE id = 7", "event 7 is missing"),
        ("UPDATE events SET data = '{}'", "was not written by archsearch"),
        ("UPDATE meta SET value = '7' WHERE key = 'id'", "id of its meta"),
        ("CREATE TRIGGER theirs AFTER INSERT ON events BEGIN DELETE FROM meta; END", "its tables are not those"),
        ("CREATE VIEW theirs AS SELECT * FROM trials", "its tables are not those"),
        ("ALTER TABLE trials ADD COLUMN theirs", "its tables are not those"),
        ("DROP TABLE rungs", "its tables are not those"),
    ],
)
def test_it_is_refused_by_every_verb_and_says_why(
    searched: ExperimentFolder, tmp_path: Path, statement: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(searched, tmp_path)
    db = editor(folder)
    db.execute(statement)
    put_back(db)
    with pytest.raises(InputError, match=word):
        Ledger.open(folder.ledger)
    if "abc" in statement or "VIEW" in statement:
        refused_by_every_verb(folder, word, capsys)


def test_an_index_that_lies_is_noticed(searched: ExperimentFolder, tmp_path: Path) -> None:
    folder = copied(searched, tmp_path)
    db = editor(folder)
    db.execute("PRAGMA writable_schema = ON")
    root = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
    db.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'trials_state'", (root["events_kind"],))
    db.execute("PRAGMA writable_schema = OFF")
    put_back(db)
    with pytest.raises(InputError, match=r"damaged|cannot be read"):
        Ledger.read(folder.ledger)


def test_a_log_that_went_missing_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = new(tmp_path)
    assert in_a_child(lambda: drive(folder), crash="paused-after:4") == -9
    with Ledger.read(folder.ledger) as ledger:
        events = ledger.last_event()
    log, gone = folder.path / "ledger.sqlite-wal", tmp_path / "gone"
    log.rename(gone)
    refused_by_every_verb(folder, f"{events} events were written, but it has 0", capsys)
    gone.rename(log)
    drive(folder)  # it is back, and the search goes on
    assert summarise(folder)["state"] == "finished"
    # A finished search's file is whole by itself; and without the number its owner may go on with what is there.
    for path in folder.path.glob("ledger.sqlite-*"):
        path.unlink()
    Ledger.read(folder.ledger).close()
    (folder.path / "ledger.count").write_text("no number")
    Ledger.read(folder.ledger).close()


def test_a_hot_journal_is_refused_for_sqlite_would_delete_what_it_names(
    searched: ExperimentFolder, tmp_path: Path
) -> None:
    folder = copied(searched, tmp_path)
    (folder.path / "ledger.sqlite-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"/precious" * 100)
    for opened in (Ledger.open, Ledger.read):
        with pytest.raises(InputError, match="journal"):
            opened(folder.ledger)


# ---- the weights of trials that can win


def other_weights(folder: ExperimentFolder) -> int:
    with Ledger.read(folder.ledger) as ledger:
        best = ledger.best()
    assert best is not None
    folder.weights(best.number).write_bytes(b"weights of somebody else")
    return best.number


def test_other_weights_than_the_ledgers_are_neither_tested_nor_exported_nor_registered(tmp_path: Path) -> None:
    from archsearch.tracking.winner import registrable

    folder = new(tmp_path)
    assert in_a_child(lambda: drive(folder), crash="stopped-after:1") == -9  # all but the test is over
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.best() is not None and not ledger.events_of("tested")
    number = other_weights(folder)
    for read in (registrable, lambda folder: kept_weights(select(folder, None))):
        with pytest.raises(InputError, match="not the weights recorded in the ledger"):
            read(folder)
    drive(folder)
    with Ledger.read(folder.ledger) as ledger:
        assert not ledger.events_of("tested")
        (failed,) = ledger.events_of("test_failed", trial=number)
    assert "not the weights recorded in the ledger" in failed.data["reason"]


def test_weights_of_an_earlier_archsearch_have_no_hash_and_are_taken(
    searched: ExperimentFolder, tmp_path: Path
) -> None:
    folder = copied(searched, tmp_path)
    db = editor(folder)
    db.execute("UPDATE events SET data = json_remove(data, '$.weights')")
    put_back(db)
    number = other_weights(folder)
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.weights_digest(number) is None
    with pytest.raises(InputError, match="damaged"):  # no tensors; but nobody compared them
        kept_weights(select(folder, None))


# ---- after the end


def test_a_driver_killed_after_its_last_word_is_completed(
    searched: ExperimentFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/m.db")
    folder = copied(searched, tmp_path)
    described = folder.best_yaml.read_text()
    folder.best_yaml.unlink()
    stale = next(number for number in range(1, 9) if not folder.trial(number).exists())
    state = folder.make_trial(stale) / "state-1.safetensors"
    state.write_bytes(b"left behind")
    before = folder.ledger.read_bytes()
    assert main(["resume", str(folder.path)]) == 0
    said = capsys.readouterr()
    assert "is finished" in said.err and f"report written to {folder.report}" in said.err
    assert "events behind" in said.err and f"archsearch sync {folder.path}" in said.err
    assert folder.best_yaml.read_text() == described and not state.exists()
    assert folder.ledger.read_bytes() == before
    report = folder.report.stat()
    assert main(["resume", str(folder.path)]) == 0  # nothing is missing: nothing is written
    assert folder.report.stat().st_mtime_ns == report.st_mtime_ns


@pytest.mark.parametrize(
    "text", ["[]", "", "search: 1", "training: {epochs: [1]}", "resources: {gpus_per_trial: {a: 1}}"]
)
def test_a_space_that_is_none_is_bad_input_for_who_watches(
    searched: ExperimentFolder, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(searched, tmp_path)
    folder.space_yaml.write_text(text)
    check_words(main(["status", str(folder.path), "--watch"]), capsys.readouterr().err, allowed={2})


@pytest.mark.parametrize("text", ['{"rows": [1]}', '{"rows": [null]}', "[]", "{", "[" * 10_000])
def test_a_confirmation_of_nonsense_is_refused(searched: ExperimentFolder, tmp_path: Path, text: str) -> None:
    folder = copied(searched, tmp_path)
    folder.confirmation.path.mkdir()
    folder.confirmation.document.write_text(text)
    with pytest.raises(InputError, match=r"confirm\.json: the confirmation is damaged: "):
        read_experiment(folder)
