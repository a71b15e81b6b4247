"""SIGTERM while a verb is at work is taken like Ctrl-C: a word and exit code 3, and nothing half-done."""

import os
import signal
import subprocess
import sys

import pytest

from archsearch.cli import main


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
    "afterwards": "sys.modules['archsearch'].late = Late()",
}


@pytest.mark.parametrize("moment", LEAVING)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_python_leaves_does_not_change_the_exit_code(number: signal.Signals, moment: str) -> None:
    script = f"""
import atexit, os, sys
import archsearch.__main__ as process
run = process.main

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

process.main = main
sys.argv = ["archsearch", "zoo", "resnet1x"]
process.command()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "killed")
    assert "Traceback" not in done.stderr
