"""Faults 5, 8 and 16: the disk fills, files are cut off, and folders that cannot be used."""

import errno
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.cli import main
from archsearch.cli.dispatch import _message
from archsearch.cli.table import find as verb_of
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.schema import VERSION
from archsearch.experiment.summary import summarise
from archsearch.reading.errors import InputError
from archsearch.tracking.outbox import Outbox
from tests.experiment import fill
from tests.faults.driving import drive, in_a_child, new
from tests.faults.invariants import check_states, check_whole, check_words, ended, story

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (that takes root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = new(tmp_path_factory.mktemp("whole"))
    drive(folder)
    return folder


@pytest.mark.parametrize("room", [0, 6_000, 20_000, 60_000, 100_000])
def test_a_full_disk_is_a_clean_stop_and_resume_goes_on(small_disk: Path, whole: ExperimentFolder, room: int) -> None:
    folder, ballast = new(small_disk), small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"x" * (free - room))
    with pytest.raises(OSError) as stopped:
        drive(folder)
    assert stopped.value.errno == errno.ENOSPC
    text, code = _message(verb_of("run"), stopped.value)
    check_words(code, text, allowed={1})
    assert "no space left" in text and "free some space" in text
    summarise(folder)  # readable while the disk is full
    before = ended(folder)
    check_states(folder)
    ballast.unlink()
    drive(folder)
    check_whole(folder, planned=8, before=before)
    assert story(folder) == story(whole)


def test_a_limit_on_the_size_of_files_is_a_clean_stop_too(tmp_path: Path, whole: ExperimentFolder) -> None:
    folder = new(tmp_path)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))
        try:
            drive(folder)
        except OSError as error:
            os._exit(0 if error.errno in (errno.EIO, errno.ENOSPC, errno.EFBIG) else 5)
        os._exit(6)

    assert in_a_child(limited) == 0
    before = ended(folder)
    drive(folder)
    check_whole(folder, planned=8, before=before)
    assert story(folder) == story(whole)


# ---- cut off


def cut_ledgers(tmp_path: Path, step: int) -> int:
    """Opens the ledger with its log cut at every `step`-th byte of the last record; how many cuts there were."""
    source = ExperimentFolder(tmp_path / "x")
    cuts = 0
    with fill.new(source) as ledger:
        fill.trial(ledger)
        fill.propose(ledger, 2)
        wal = source.ledger.with_name("ledger.sqlite-wal")
        before, kept = wal.stat().st_size, ledger.events()
        ledger.start(2)
        log, whole = wal.read_bytes(), ledger.events()
        for cut in [*range(before, len(log), step), len(log)]:
            cuts += 1
            copy = tmp_path / "cut"
            copy.mkdir()
            shutil.copy(source.ledger, copy)
            (copy / wal.name).write_bytes(log[:cut])
            with Ledger.open(copy / "ledger.sqlite") as opened:
                assert opened.events() == (whole if cut == len(log) else kept), f"cut at {cut}"
            shutil.rmtree(copy)
    return cuts


def cut_outboxes(tmp_path: Path, step: int) -> int:
    """The same of the outbox's log, and of its file: what is lost is at most all of it, which the store still knows."""
    (tmp_path / "x").mkdir(parents=True)
    path, cuts = tmp_path / "x" / "outbox.sqlite", 0
    with Outbox(path, "sqlite:///m.db") as outbox:
        outbox.cursor = 41
        outbox.keep(1, "first", described=True)
        log = path.with_name("outbox.sqlite-wal")
        before = log.stat().st_size
        outbox.cursor = 42
        file, data = path.read_bytes(), log.read_bytes()
    with Outbox(path, "sqlite:///m.db"):
        pass  # the last to leave has written the log back
    single = path.read_bytes()
    places = [(file, data[:cut], {41}) for cut in range(before, len(data), step)] + [(file, data, {42})]
    places += [(single[:cut], b"", {0, 42}) for cut in range(0, len(single), step)]
    for main_file, its_log, cursors in places:
        cuts += 1
        copy = tmp_path / "cut"
        copy.mkdir()
        (copy / path.name).write_bytes(main_file)
        if its_log:
            (copy / log.name).write_bytes(its_log)
        with Outbox(copy / path.name, "sqlite:///m.db") as torn:
            assert torn.cursor in cursors
            torn.cursor = 43
            torn.keep(2, "second", described=False)
        with Outbox(copy / path.name, "sqlite:///m.db") as again:
            assert (again.cursor, again.run(2)) == (43, ("second", False))
        shutil.rmtree(copy)
    return cuts


def test_a_ledger_cut_within_its_last_record_loses_that_alone(tmp_path: Path) -> None:
    assert cut_ledgers(tmp_path, 211) > 10


def test_an_outbox_cut_anywhere_opens(tmp_path: Path) -> None:
    assert cut_outboxes(tmp_path, 499) > 20


def test_an_outbox_of_nonsense_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"no database, but longer than a header" * 200)
    with Outbox(path, "sqlite:///m.db") as outbox:
        assert outbox.cursor == 0


@pytest.mark.parametrize(("version", "word"), [(1, "an older"), (99, "a newer")])
@pytest.mark.parametrize("verb", ["status", "resume", "sync", "export"])
def test_a_ledger_of_another_version_is_refused_by_every_verb(
    tmp_path: Path, version: int, word: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ExperimentFolder(tmp_path / "x")
    with fill.new(folder) as ledger:
        fill.trial(ledger)
        ledger._db.execute(f"PRAGMA user_version = {version}")
    data = folder.ledger.read_bytes()
    code = main([verb, str(folder.path)])
    said = capsys.readouterr()
    check_words(code, said.err, allowed={2})
    assert f"was written by {word} archsearch: its format is {version}; allowed: {VERSION}" in said.err
    assert "use the archsearch that wrote it" in said.err and said.out == ""
    assert folder.ledger.read_bytes() == data


# ---- folders


def bad_outputs(tmp_path: Path) -> dict[str, Path]:
    file, link, full = tmp_path / "file", tmp_path / "link", tmp_path / "full"
    file.write_text("mine")
    link.symlink_to(tmp_path)
    full.mkdir()
    (full / "thesis.tex").touch()
    return {
        "a file": file,
        "below a file": file / "below",
        "a link": link,
        "full": full,
        "200 characters": tmp_path / ("a" * 200),
        "200 characters of unicode": tmp_path / ("网" * 200),
        "two lines": tmp_path / "two\nlines",
        "climbing": tmp_path / "file" / ".." / "file",
    }


def test_an_output_that_cannot_be_used_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cases = bad_outputs(tmp_path)
    was = sorted(tmp_path.rglob("*"))

    def load(*_: object, **__: object) -> None:
        raise AssertionError("images were loaded for a folder that cannot be used")

    monkeypatch.setattr("archsearch.data.datasets.load_images", load)
    for name, path in cases.items():
        began = time.monotonic()
        code = main(["run", str(DIGITS), "--output", str(path)])
        check_words(code, capsys.readouterr().err, allowed={2})
        assert time.monotonic() - began < 60, name  # a limit for a busy machine; the long form says the seconds
        assert sorted(tmp_path.rglob("*")) == was, f"{name}: something was written"


def test_a_read_only_file_system_is_refused(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small_disk / "here").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for path in (small_disk / "new", small_disk / "here"):
        check_words(main(["run", str(DIGITS), "--output", str(path)]), capsys.readouterr().err, allowed={2})


def test_unicode_and_spaces_are_good_names(tmp_path: Path, whole: ExperimentFolder) -> None:
    folder = new(tmp_path / "söhne 网络 'x'")
    drive(folder)
    check_whole(folder, planned=8)
    assert story(folder) == story(whole)


# ---- fault 19: what somebody else's folder may hold


def test_nothing_is_written_through_a_link_in_an_experiment(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number, place in enumerate(("trials/t0001", "best.yaml", "trials/t0001/weights.safetensors")):
        folder = new(tmp_path / str(number))
        target = folder.path / place
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(elsewhere)
        with pytest.raises(InputError, match="is a symbolic link"):
            drive(folder)
        assert not list(elsewhere.iterdir())


def test_a_poisoned_state_is_neither_run_nor_used(tmp_path: Path, whole: ExperimentFolder) -> None:
    folder, trap = new(tmp_path), tmp_path / "trap"
    assert in_a_child(lambda: drive(folder), crash="paused-after:5") == -9
    poison = b"cos\nsystem\n(S'touch %s'\ntR." % str(trap).encode()
    states = list(folder.path.glob("trials/*/state-*.safetensors"))
    assert states
    for state in states:
        state.write_bytes(poison)
    drive(folder)
    assert not trap.exists()
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.counts().finished and ledger.counts().total == 8
        assert ledger.events_of("state_lost"), "nothing says that it was damaged"
    assert {n: row[:4] for n, row in story(folder).items() if n} == {n: row[:4] for n, row in story(whole).items() if n}


def test_names_cannot_climb_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    text = DIGITS.read_text()
    evil = inside / "evil.yaml"
    evil.write_text(text.replace("name: digits", "name: ../../evil", 1))
    attempts = [
        ["run", str(DIGITS), "--name", "../../out"],
        ["run", str(evil)],
        ["run", str(DIGITS), "--set", "name=../../out"],
        ["status", "../../../../etc"],
        ["export", "../../../../etc/passwd"],
    ]
    for words in attempts:
        check_words(main(words), capsys.readouterr().err, allowed={2})
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "b", "evil.yaml"}
    experiment = new(tmp_path / "made")
    drive(experiment)
    code = main(["export", str(experiment.path), "--trial", "../../../etc/passwd"])
    check_words(code, capsys.readouterr().err, allowed={2})
    assert json.dumps(summarise(experiment))
