"""How a driver's session takes signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from archsearch.search.running.environment import LONGEST_TMPDIR
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray does not look at TMPDIR")
def test_a_long_tmpdir_gives_way_to_a_short_folder_of_the_processs_own(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 60) / ("b" * 60)
    long.mkdir(parents=True)
    code = """
import os, stat, tempfile
from archsearch.search.running.environment import prepare
from archsearch.search.running.readiness import findings
print(any(finding.name == "TMPDIR" for finding in findings()))
prepare(None)
folder = os.environ["TMPDIR"]
print(folder, oct(stat.S_IMODE(os.stat(folder).st_mode)), tempfile.gettempdir() == folder)
prepare(None)
assert os.environ["TMPDIR"] == folder
if os.fork() == 0:
    raise SystemExit
os.wait()
assert os.path.isdir(folder)
"""

    def lines(**variables: str) -> list[str]:
        env = {**{k: v for k, v in os.environ.items() if k not in ("TMPDIR", "RAY_TMPDIR")}, **variables}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        return done.stdout.split()

    warned, folder, mode, used = lines(TMPDIR=str(long))
    assert (warned, mode, used) == ("True", "0o700", "True")
    assert len(folder) <= LONGEST_TMPDIR
    assert not Path(folder).exists(), "it is removed at the end"
    short = tempfile.mkdtemp(dir="/tmp")
    assert lines(TMPDIR=short)[:2] == ["False", short]
    Path(short).rmdir()
