"""SIGTERM while a verb is at work is taken like Ctrl-C: a word and exit code 3, and nothing half-done."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.cli import main
from archsearch.search.running.interrupts import interruptible


def test_sigterm_is_an_interruption_and_the_handler_before_is_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def terminated() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("archsearch.zoo.entries", terminated)
    assert main(["zoo", "--json"]) == 3
    assert capsys.readouterr().err == "archsearch: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before


LEAVING = {
    "before its handlers are given up": "atexit.register(kill)",
    "afterwards": "sys.modules['archsearch'].late = Late()",  # never: nothing is taken apart
}


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *((number, moment) for number in (signal.SIGINT, signal.SIGTERM) for moment in LEAVING),
        (signal.SIGSEGV, "afterwards"),  # as a library's code in C++ may leave
    ],
)
def test_a_signal_while_python_leaves_does_not_change_the_exit_code(number: signal.Signals, moment: str) -> None:
    script = f"""
import atexit, os, sys
import archsearch.cli as cli
from archsearch.__main__ import command
run = cli.main

def kill(kill=os.kill, write=os.write, pid=os.getpid()):
    write(1, b"killed")
    kill(pid, {int(number)})

class Late:
    def __del__(self, kill=kill):
        kill()

def main():
    code = run()
    {LEAVING[moment]}
    return code

cli.main = main
sys.argv = ["archsearch", "zoo", "resnet1x"]
command()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "" if moment == "afterwards" else "killed")
    assert "Traceback" not in done.stderr and "did you mean" in done.stderr


AT_IMPORT = """
import os, signal, sys
class Interrupts:
    left = int(sys.argv.pop(1))
    def find_spec(self, name, path=None, target=None):
        Interrupts.left -= name == "archsearch.cli" or "archsearch.cli" in sys.modules
        if Interrupts.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from archsearch.__main__ import command
command()
"""


@pytest.mark.parametrize("imports", [1, 2, 5, 30, 120, 300, 600, 1000, 1200])
def test_ctrl_c_while_python_imports_leaves_with_a_message_and_no_traceback(imports: int, tmp_path: Path) -> None:
    """A real process, which sends itself the signal as it looks for its n-th module: of Typer, of archsearch, torch."""
    words = ["train", "resnet8_cifar", "--data", "digits", "--epochs", "100"]
    script = [sys.executable, "-c", AT_IMPORT, str(imports), *words]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)
    assert (done.returncode, done.stdout) == (130 if imports < 120 else done.returncode, ""), done.stderr
    assert done.returncode in (130, 3), done.stderr
    assert done.stderr.splitlines()[-1] == "archsearch: interrupted" and "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0])
def test_ctrl_c_soon_after_the_start_leaves_without_a_traceback(seconds: float, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "archsearch", "train", "resnet8_cifar", "--data", "digits", "--epochs", "100000"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode in (130, 3), said
    assert said.splitlines()[-1] == "archsearch: interrupted" and "Traceback" not in said


@pytest.mark.parametrize("came", [True, False])
def test_an_error_in_the_place_of_an_interrupt_is_the_interrupt(came: bool) -> None:
    """As CPython's `expected a message argument` is, where the interrupt comes while an import fails."""
    with pytest.raises(KeyboardInterrupt if came else TypeError), interruptible(signal.SIGINT):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT if came else signal.SIGCHLD)
        raise TypeError("expected a message argument")


def test_ctrl_c_where_python_carries_out_a_text_has_the_same_exit_code(tmp_path: Path) -> None:
    """As dataclasses and named tuples are made, of which importing torch makes hundreds."""
    script = """
import sys
from archsearch import zoo
from archsearch.__main__ import command
zoo.entries = lambda: exec("raise KeyboardInterrupt")
sys.argv = ["archsearch", "zoo"]
command()
"""
    (tmp_path / "process.py").write_text(script)
    words = [sys.executable, "-m", "process"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "archsearch: interrupted\n")


def test_a_background_jobs_ignored_ctrl_c_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = zoo.entries
    monkeypatch.setattr("archsearch.zoo.entries", lambda: os.kill(os.getpid(), signal.SIGINT) or entries())
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(["zoo", "--json"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
