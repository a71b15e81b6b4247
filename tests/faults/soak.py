"""Searches under faults for an hour: `python -m tests.faults.soak [--minutes 60] [--seed N]`; the seed is printed.

One search after another, each of 30 trials on a real Ray with MLflow's real server beside it. While it runs, at random
moments: a worker is killed (fault 1), the server is killed or stopped for a while (6), the driver is told to leave or
killed, and resumed (17), and where the search runs on a head and a worker node, the worker node is killed (4). After
each search I1 to I6 must hold. Prints a line a search, and a table's row at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from archsearch.experiment import ExperimentFolder
from archsearch.search.running.private import private_folder
from archsearch.tracking import serve, sync
from tests.faults.invariants import PATIENCE, check_gone, check_tracking, check_whole, check_words, ended
from tests.faults.servers import nobody
from tests.faults.test_real import DIGITS, start
from tests.faults.test_workers import SIGNALS, descendants, kill_all, node
from tests.search.test_main_job import lanes_of

TRIALS = 30
LEAVING = {
    "Ctrl-C": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "Ctrl-C twice": (signal.SIGINT, signal.SIGINT),
    "SIGKILL": (signal.SIGKILL,),
}
# Seconds until what a SIGKILL leaves to itself has gone: a worker that Ray was just starting waits for an answer, 60 s
# at a time (search/running/environment.py), and everything is slower on a machine as busy as this one then is.
GONE = 180.0


class Soak:
    """One search under faults, from its beginning to its end."""

    def __init__(self, place: Path, draw: random.Random, done: Counter[str]) -> None:
        self.place, self.draw, self.done = place, draw, done
        self.folder, self.mark = ExperimentFolder(place / "out"), uuid.uuid4().hex
        self.store = f"sqlite:///{place / 'mlflow.db'}"
        with nobody() as self.port:
            self.uri = f"http://127.0.0.1:{self.port}"

    def run(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        while True:
            if self._session():
                break
        with serve(None, self.store, port=self.port):
            assert sync(self.folder, self.uri).remaining == 0
        check_whole(self.folder, planned=TRIALS)
        check_tracking(self.folder, self.store)
        check_gone(self.mark, within=GONE)

    def _session(self) -> bool:
        """A driver from its start to its end, with faults meanwhile; whether the search ended."""
        before = ended(self.folder)
        words = ["resume", str(self.folder.path)] if self.folder.ledger.exists() else self._anew()
        with ExitStack() as stack:
            view = stack.enter_context(serve(None, self.store, port=self.port))
            address, worker = self._nodes(stack)
            process = start(self.place, self.mark, *words, *address, "--tracking-uri", self.uri)
            faults: list[Callable[[], None]] = [lambda: self._kill_worker(process), lambda: self._server(view.process)]
            if worker is not None:
                faults.append(lambda: self._kill_node(worker))
            for _ in range(self.draw.randint(1, 4)):
                if not self._wait(process, self.draw.uniform(5, 25)):
                    break
                self.draw.choice(faults)()
            leaves = self.draw.random() < 0.7 and self._wait(process, self.draw.uniform(1, 15))
            code = self._leave(process) if leaves else self._finish(process)
        assert before <= ended(self.folder), "I1: a trial that had ended was lost or changed"
        try:
            check_gone(self.mark, within=GONE)
        except AssertionError:
            if code != -signal.SIGKILL:
                raise
            with private_folder():  # as the next start, which ends what a killed driver's Ray has left
                check_gone(self.mark, within=5)
        return code == 0

    def _anew(self) -> list[str]:
        words = ["--set", "search.checkpoint_every=2s", "--set", f"search.seed={self.draw.randrange(10**6)}"]
        return ["run", str(DIGITS), "--trials", str(TRIALS), *words, "--output", str(self.folder.path)]

    def _nodes(self, stack: ExitStack) -> tuple[list[str], subprocess.Popen[bytes] | None]:
        """One session in four is on a head and a worker node."""
        if self.draw.random() > 0.25:
            return [], None
        port = self.draw.randint(26_000, 29_000)
        shared = ("--num-cpus", "1", "--node-ip-address", "127.0.0.1")
        head = ("--head", "--port", str(port), "--include-dashboard", "false")
        stack.enter_context(node(self.place, self.mark, *head, *shared))
        time.sleep(20)
        worker = stack.enter_context(node(self.place, self.mark, "--address", f"127.0.0.1:{port}", *shared))
        time.sleep(15)
        return ["--address", f"127.0.0.1:{port}"], worker

    def _wait(self, process: subprocess.Popen[str], seconds: float) -> bool:
        """Whether the driver still runs after so long."""
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _kill_worker(self, process: subprocess.Popen[str]) -> None:
        if lanes := lanes_of(process.pid):
            os.kill(self.draw.choice(lanes), self.draw.choice(SIGNALS))
            self.done["workers killed"] += 1

    def _server(self, server: subprocess.Popen[bytes] | None) -> None:
        """Stopped for some seconds, or killed until the session ends."""
        if server is None or server.poll() is not None:
            return
        if self.draw.random() < 0.5:
            pids = [server.pid, *descendants(server.pid)]
            for what in (signal.SIGSTOP, signal.SIGCONT):
                for pid in pids:
                    os.kill(pid, what)
                time.sleep(self.draw.uniform(2, 10) if what is signal.SIGSTOP else 0)
            self.done["servers stopped"] += 1
        else:
            kill_all(server.pid)
            self.done["servers killed"] += 1

    def _kill_node(self, worker: subprocess.Popen[bytes]) -> None:
        if worker.poll() is None:
            kill_all(worker.pid)
            self.done["nodes killed"] += 1

    def _leave(self, process: subprocess.Popen[str]) -> int:
        how = self.draw.choice(list(LEAVING))
        self.done[how] += 1
        for what in LEAVING[how]:
            if process.poll() is None:
                process.send_signal(what)
                time.sleep(0.5)
        return self._finish(process, allowed={-signal.SIGKILL} if how == "SIGKILL" else set())

    def _finish(self, process: subprocess.Popen[str], allowed: set[int] = frozenset()) -> int:  # type: ignore[assignment]
        _, said = process.communicate(timeout=4 * PATIENCE)
        if process.returncode not in allowed:
            before = {128 + signal.SIGINT, 128 + signal.SIGTERM}  # while Python still imported
            if "*** SIGTERM received" in said:  # it met Ray while that started, which then aborts now and then
                before.add(-signal.SIGABRT)
            check_words(process.returncode, said, allowed={0, 1, 3} | before | allowed)
        return process.returncode


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "soak-failed")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, and its children, ignore it
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
    draw, done, began, searches = random.Random(given.seed), Counter[str](), time.monotonic(), 0
    while time.monotonic() - began < 60 * given.minutes:
        with tempfile.TemporaryDirectory(prefix="soak-") as place:
            try:
                Soak(Path(place), draw, done).run()
            except BaseException:
                shutil.copytree(place, given.keep, dirs_exist_ok=True, ignore_dangling_symlinks=True)
                print(f"what it left: {given.keep}", flush=True)
                raise
        searches += 1
        said = ", ".join(f"{number} {what}" for what, number in sorted(done.items()))
        print(f"{(time.monotonic() - began) / 60:.0f} min: {searches} searches whole; {said}", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
