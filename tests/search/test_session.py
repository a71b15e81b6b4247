"""How a driver's session takes signals."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from archsearch.search.running import prestart, worker
from archsearch.search.running.environment import LONGEST_TMPDIR
from archsearch.search.running.private import end_processes, private_folder
from archsearch.search.session import _terminable


def test_a_sigterm_that_ray_answers_is_an_interruption_too() -> None:
    """While Ray starts, its own handler is in place: it ends Python with the signal's number."""

    def rays(number: int, _: object) -> None:
        sys.exit(number)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _terminable():
        signal.signal(signal.SIGTERM, rays)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_exit_stays_what_it_is() -> None:
    with pytest.raises(SystemExit, match="2"), _terminable():
        sys.exit(2)


def test_a_long_tmpdir_gives_way_to_tmp(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 60) / ("b" * 60)
    long.mkdir(parents=True)
    code = """
import os, stat
from archsearch.search.running.private import private_folder
from archsearch.search.running.readiness import findings
print(any(finding.name == "TMPDIR" for finding in findings()))
with private_folder() as folder:
    print(folder, oct(stat.S_IMODE(os.stat(folder).st_mode)))
assert not folder.exists()
"""

    def lines(**variables: str) -> list[str]:
        env = {**{k: v for k, v in os.environ.items() if k not in ("TMPDIR", "RAY_TMPDIR")}, **variables}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        return done.stdout.split()

    for variables in ({"TMPDIR": str(long)}, {"RAY_TMPDIR": str(long)}):
        warned, folder, mode = lines(**variables)
        assert (warned, mode, str(Path(folder).parent)) == ("True", "0o700", "/tmp")
        assert len(folder) <= LONGEST_TMPDIR + len("/as12345678")
    short = tempfile.mkdtemp(dir="/tmp")
    warned, folder, mode = lines(TMPDIR=short)
    assert (warned, mode, str(Path(folder).parent)) == ("False", "0o700", short)
    Path(short).rmdir()


def test_folders_of_killed_processes_are_swept_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(base))
    code = """
import os, sys, time
from archsearch.search.running.private import private_folder
with private_folder() as folder:
    (folder / "session").mkdir()
    print(folder, flush=True)
    time.sleep(60)
"""
    with (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as alive,
    ):
        assert killed.stdout is not None and alive.stdout is not None
        left, used = Path(killed.stdout.readline().strip()), Path(alive.stdout.readline().strip())
        killed.kill()
        killed.wait()
        foreign, open_to_all, link = base / "as00000000", base / "as00000001", base / "as00000002"
        foreign.mkdir(mode=0o700)
        open_to_all.mkdir(mode=0o755)
        (open_to_all / "archsearch.lock").touch()
        link.symlink_to(tmp_path)
        (tmp_path / "archsearch.lock").touch()
        with private_folder() as folder:
            assert {path.name for path in base.iterdir()} == {
                path.name for path in (used, folder, foreign, open_to_all, link)
            }
        assert left.parent == base and (tmp_path / "archsearch.lock").exists()
        alive.kill()
    shutil.rmtree(base)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_what_is_left_of_a_killed_drivers_ray_is_killed_and_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(base))
    left, other = base / "as00000000", base / "as00000001"
    for folder in (left, other):
        folder.mkdir(mode=0o700)
        (folder / "archsearch.lock").touch()
    waits = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen([*waits, f"--temp-dir={left}/r"]) as worker,
        subprocess.Popen([*waits, f"--temp-dir={other}/r"]) as foreign,
        (other / "archsearch.lock").open("rb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        while not Path(f"/proc/{worker.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        with private_folder() as mine, subprocess.Popen([*waits, f"--temp-dir={mine}/r"]) as late:
            while not Path(f"/proc/{late.pid}/cmdline").read_bytes():  # for a moment after it was started
                time.sleep(0.01)
            assert worker.wait(10) == -signal.SIGKILL, "its driver's lock is free"
            assert (late.poll(), left.exists()) == (None, False)
            end_processes(mine)
            assert late.wait(10) == -signal.SIGKILL
        assert foreign.poll() is None, "its driver lives"
        foreign.kill()
    shutil.rmtree(base)


def test_a_worker_without_memory_to_warm_up_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane that starts in its place says what is missing."""

    def load_trainer() -> None:
        raise MemoryError

    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(worker, "load_trainer", load_trainer)
    prestart._import()
    assert codes == [1]
