"""Which file systems an experiment may lie on, and what its databases do on a network file system. The kinds of mounts
are replaced: none of them is here."""

from __future__ import annotations

import errno
import fcntl
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger, TrialState, file_systems
from archsearch.experiment.file_systems import file_system, journal_mode
from archsearch.reading.errors import InputError
from archsearch.tracking.outbox import Outbox
from tests.experiment import fill

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:7 - nfs4 server:/export/home rw,vers=4.2,local_lock=none
31 30 8:2 / /home/me/local\\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /scratch rw - lustre 10.0.0.1@o2ib:/scratch rw,flock
33 22 0:42 / /bucket rw - fuse mountpoint-s3 rw
34 22 0:43 / /gcs rw - fuse.gcsfuse archive rw
35 22 0:44 / /remote rw - fuse.sshfs me@there: rw
36 22 0:45 / /root rw - fuse.fuse-overlayfs fuse-overlayfs rw
37 22 0:46 / /tmp rw - autofs systemd-1 rw
38 37 0:47 / /tmp rw - tmpfs tmpfs rw
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "mountinfo")


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's folder is a network file system, for every process that is told so."""
    (tmp_path / "mountinfo").write_text(f"22 1 0:40 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("path", "kind", "mode"),
    [
        ("/srv/experiments/x", "ext4", "WAL"),
        ("/home/me/experiments/x", "nfs4", "TRUNCATE"),
        ("/homes/x", "ext4", "WAL"),
        ("/home/me/local disk/x", "xfs", "WAL"),
        ("/scratch/x", "lustre", "TRUNCATE"),
        ("/remote/x", "fuse.sshfs", "TRUNCATE"),
        ("/root/x", "fuse.fuse-overlayfs", "WAL"),
        ("/tmp/x", "tmpfs", "WAL"),
    ],
)
def test_a_file_system_is_told_by_the_mount_point_and_decides_the_journal(
    path: str, kind: str, mode: str, mounts: None
) -> None:
    assert (file_system(Path(path)).type, journal_mode(Path(path))) == (kind, mode)


@pytest.mark.parametrize("path", ["/bucket/x", "/gcs/x"])
def test_an_object_store_is_refused_by_its_name(path: str, mounts: None) -> None:
    with pytest.raises(InputError, match=r"(?s)an object store.*hint: put it on a local disk with --output"):
        ExperimentFolder(Path(path)).refuse_if_unusable()


def test_doctor_and_check_name_a_network_file_system(
    tmp_path: Path, on_nfs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.search.foretelling.check import check_space
    from archsearch.search.running.readiness import _file_system
    from archsearch.space.loading import load_space

    space = "{stages: 2, depth: {int: [1, 2]}, width: 8}"
    file = tmp_path / "space.yaml"
    file.write_text(f"archsearch: 1\nname: x\ndata: {{name: digits}}\nspace: {space}\n")
    monkeypatch.chdir(tmp_path)
    (finding,) = _file_system(Path("experiments"))
    assert (finding.level, finding.found) == ("warn", f"nfs4 ({tmp_path})") and "rollback journal" in finding.advice
    document = check_space(load_space(file), file, samples=10, cluster=None, probes=False, tell=lambda text: None)
    assert document["notes"][-1] == f"experiments is on nfs4 ({tmp_path}), {finding.advice}"
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "not there")
    assert not list(_file_system(Path("experiments")))


def test_without_proc_a_file_system_counts_as_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "_MOUNTS", Path("/not/there"))
    assert journal_mode(Path("/srv")) == "WAL"


def test_a_file_system_without_locks_is_refused(tmp_path: Path, on_nfs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", lock)
    with pytest.raises(InputError, match=r"(?s)nfs4 .*has no locks.*-o flock"):
        ExperimentFolder(tmp_path / "x").create()
    assert not list((tmp_path / "x").glob(".*")), "the probe is gone"
    with pytest.raises(InputError, match="has no locks"), ExperimentFolder(tmp_path / "x").driver_lock():
        pass


def ledger_in(path: Path) -> Ledger:
    return fill.new(ExperimentFolder(path))


def add_trial(ledger: Ledger) -> int:
    return fill.propose(ledger, ledger.total + 1).number


def elsewhere(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python in a process of its own, for which the test's folder is a network file system too."""
    command = [sys.executable, "-c", BEGIN + code, str(file_systems._MOUNTS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


BEGIN = """
import os, signal, sys
from pathlib import Path
from archsearch.experiment import Ledger, file_systems
file_systems._MOUNTS = Path(sys.argv[1])
"""
COUNT = "with Ledger.read(Path(sys.argv[2])) as ledger: print(ledger.total)"
KILLED = """
ledger = Ledger.open(Path(sys.argv[2]))
ledger._db.execute("PRAGMA cache_size = 1")
with ledger.transaction():
    for number in range(200):
        ledger.note("note", {"text": "x" * 4000})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_on_a_network_file_system_readers_see_what_is_durable_without_shared_memory(
    tmp_path: Path, on_nfs: None
) -> None:
    with ledger_in(tmp_path / "x") as ledger:
        add_trial(ledger)
        with ledger.transaction():
            add_trial(ledger)
            assert elsewhere(COUNT, ledger.path).stdout == "1\n", "also while the driver is in a transaction"
        assert elsewhere(COUNT, ledger.path).stdout == "2\n"
        assert not list(ledger.path.parent.glob("*-shm")) and not list(ledger.path.parent.glob("*-wal"))
        with Ledger.read(ledger.path) as reader:  # which leaves nothing open that a commit would wait for
            assert reader.first(TrialState.WAITING) is not None and reader.last_event() == 2
            add_trial(ledger)


def test_a_transaction_that_a_killed_driver_left_is_undone_by_the_next_reader(tmp_path: Path, on_nfs: None) -> None:
    with ledger_in(tmp_path / "x") as ledger:
        add_trial(ledger)
    path = ledger.path
    assert elsewhere(KILLED, path).returncode == -signal.SIGKILL
    journal = path.with_name("ledger.sqlite-journal")
    assert journal.stat().st_size, "the transaction was in the file already"
    with ExperimentFolder(path.parent).driver_lock(), pytest.raises(InputError, match="cannot be read"):
        Ledger.read(path)  # a driver is at work: it is not undone under it
    with Ledger.read(path) as reader:
        assert reader.total == 1 and reader.last_event() == 1
    elsewhere(KILLED, path)
    with Ledger.open(path) as again:
        assert add_trial(again) == 2


def test_what_a_driver_left_that_was_killed_while_it_made_a_ledger_is_no_file_of_others(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "x").create()
    half = folder.path / ".ledger.sqlite.0123.tmp-journal"
    half.touch()
    folder.refuse_if_unusable()
    folder.sweep()
    assert not half.exists()


def test_a_journal_that_names_other_files_is_refused(tmp_path: Path, on_nfs: None) -> None:
    with ledger_in(tmp_path / "x") as ledger:
        add_trial(ledger)
    elsewhere(KILLED, ledger.path)
    journal = ledger.path.with_name("ledger.sqlite-journal")
    with journal.open("ab") as file:
        file.write(b"/precious" + bytes(8) + bytes.fromhex("d9d505f920a163d7"))
    for opened in (Ledger.open, Ledger.read):
        with pytest.raises(InputError, match="journal was not written by archsearch"):
            opened(ledger.path)


def test_a_ledger_that_moves_between_file_systems_changes_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def journal_of(path: Path) -> str:
        with closing(sqlite3.connect(path)) as db:
            return str(db.execute("PRAGMA journal_mode").fetchone()[0])

    with ledger_in(tmp_path / "x") as ledger:
        add_trial(ledger)
        path = ledger.path
    assert journal_of(path) == "wal"
    with monkeypatch.context() as patch:
        (tmp_path / "mountinfo").write_text(f"22 1 0:40 / {tmp_path} rw - nfs4 server:/export rw\n")
        patch.setattr(file_systems, "_MOUNTS", tmp_path / "mountinfo")
        with Ledger.open(path) as ledger:
            add_trial(ledger)
        assert journal_of(path) == "delete", "no write-ahead log: where none is asked for, SQLite says so"
        with Outbox(path.with_name("outbox.sqlite"), "sqlite:///x.db") as outbox:
            outbox.cursor = 5
        with Outbox(path.with_name("outbox.sqlite"), "sqlite:///x.db") as outbox:
            assert outbox.cursor == 5, "an empty journal is no torn outbox"
    with Ledger.open(path) as ledger:
        assert add_trial(ledger) == 3
    assert journal_of(path) == "wal"
