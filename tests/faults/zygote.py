"""Searches with the real trainer, each in a fork of one process that has imported it: `python -m tests.faults.zygote`.

Reads {"folder", "crash"} a line; forks, drives, and answers {"code"}: -9 where the child was killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from archsearch.experiment import ExperimentFolder
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from tests.faults.driving import drive, in_a_child


def main() -> None:
    """No tensor is made before a fork: torch's threads would not be in the child."""
    from archsearch.data.datasets import load_images
    from archsearch.data.images import ImageSet
    from archsearch.search.running.worker import TrialWorker, load_trainer

    load_trainer()
    images = None
    for line in sys.stdin:
        asked = json.loads(line)
        folder = ExperimentFolder(Path(asked["folder"]))
        images = images or load_images(load_space(folder.space_yaml).data)

        def make(space: SearchSpace, images: ImageSet = images) -> TrialWorker:
            return TrialWorker(images, space.training, threads=1)

        code = in_a_child(lambda folder=folder, make=make: drive(folder, make), crash=asked["crash"])
        print(json.dumps({"code": code}), flush=True)


@contextmanager
def zygote():
    """A function (folder, crash="") -> exit code."""
    command = [sys.executable, "-m", "tests.faults.zygote"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(folder: ExperimentFolder, crash: str = "") -> int:
            process.stdin.write(json.dumps({"folder": str(folder.path), "crash": crash}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())["code"]

        yield ask
        process.stdin.close()


if __name__ == "__main__":
    main()
