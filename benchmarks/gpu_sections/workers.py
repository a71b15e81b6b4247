"""Processes that train beside one another: started, told to begin, listened to, ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_sections.row import NoTime
from benchmarks.gpu_sections.setting import Setting

MPS = "nvidia-cuda-mps-control"


class Worker:
    """A process that runs `function(setting, **given)` of a module of this folder.

    The function is a generator: it yields answers, one for each call of `answer`; between two it waits for `go`.
    """

    def __init__(
        self, function: str, setting: Setting, environment: dict[str, str] | None = None, **given: Any
    ) -> None:
        call = json.dumps({"function": function, "quick": setting.quick, "rehearse": setting.rehearsed, "given": given})
        root = Path(__file__).parent.parent.parent
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_sections.workers", call], cwd=root, text=True,
            env={**os.environ, "PYTHONPATH": path_with(root), **(environment or {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def go(self) -> None:
        """Lets the function go on to its next answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def answer(self, seconds: float) -> Any:
        """The next answer, waited for so long. Raises WorkerFailed for an error in the process, or if it ended."""
        ends = time.monotonic() + max(0.1, seconds)
        while True:
            try:
                line = self._answers.get(timeout=max(0.01, ends - time.monotonic()))
            except queue.Empty:
                raise NoTime(f"a process gave no answer in {seconds:.0f} s") from None
            if not line:
                raise WorkerFailed(f"a process ended with status {self._process.wait()}")
            if line.startswith("{"):  # else a library printed it
                answer = json.loads(line)
                if "error" in answer:
                    raise WorkerFailed(answer["error"])
                return answer["value"]

    def next(self, seconds: float) -> Any:
        """Lets the function go on, and waits for what it answers."""
        self.go()
        return self.answer(seconds)

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()


class WorkerFailed(Exception):
    """An error in a worker's process."""


@contextmanager
def workers(count: int, *of: Any, **given: Any) -> Iterator[list[Worker]]:
    """So many workers; they are ended with the block."""
    started: list[Worker] = []
    try:
        for _ in range(count):
            started.append(Worker(*of, **given))
        yield started
    finally:
        for worker in started:
            worker.end()


def path_with(root: Path) -> str:
    return os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])


@contextmanager
def mps(folder: Path) -> Iterator[dict[str, str]]:
    """Inside, an MPS daemon runs; yields the environment of its clients. Raises OSError where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    environment, log = mps_environment(folder), folder / "daemon.log"
    try:
        with log.open("wb") as output:  # a file: the daemon keeps it open, where a pipe would be waited for
            command = subprocess.run(
                [MPS, "-d"], env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                timeout=10, check=False,
            )  # fmt: skip
        if command.returncode:
            raise OSError(f"{MPS} ended with {command.returncode}: {log.read_text(errors='replace')[:300]}")
        yield environment
    except subprocess.TimeoutExpired as error:
        raise OSError(str(error)) from error
    finally:
        stop_mps(folder)


def mps_environment(folder: Path) -> dict[str, str]:
    return {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}


def stop_mps(folder: Path) -> None:
    """Tells this folder's daemon to end, where one runs."""
    environment = {**os.environ, **mps_environment(folder)}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run([MPS], input=b"quit -t 1\n", env=environment, capture_output=True, timeout=5, check=False)


def main() -> None:
    call = json.loads(sys.argv[1])
    module, _, name = call["function"].partition(":")
    try:
        torch.set_num_threads(1)
        setting = Setting.here(quick=call["quick"], rehearse=call["rehearse"])
        function = getattr(import_module(f"benchmarks.gpu_sections.{module}"), name)
        for value in function(setting, **call["given"]):
            print(json.dumps({"value": value}, default=str), flush=True)
            if sys.stdin.readline() != "go\n":
                return
    except Exception as error:  # any: it is handed over
        print(json.dumps({"error": f"{type(error).__name__}: {str(error)[:800]}"}), flush=True)


if __name__ == "__main__":
    main()
