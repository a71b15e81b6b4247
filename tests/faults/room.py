"""How much room on disk a search of a thousand trials takes at most, with Ray's temporary files and MLflow's store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from archsearch.experiment import ExperimentFolder
from tests.faults.invariants import check_gone, check_whole, check_words, marked
from tests.faults.test_real import DIGITS

# The quickstart's networks and recipe; fewer images, since what is kept does not depend on them.
WORDS = ("--set", "data.limit=300", "--set", "search.checkpoint_every=1s")


def taken(*places: Path) -> int:
    """Bytes of all files below, as far as they are there."""
    total = 0
    for place in places:
        for folder, _, names in os.walk(place):
            for name in names:
                try:
                    total += os.lstat(Path(folder) / name).st_blocks * 512
                except OSError:
                    continue
    return total


def most_taken(place: Path, trials: int) -> dict[str, float]:
    """Megabytes: of everything at most and at the end, of the experiment's folder at most, and of Ray's files at most.
    Ray's store of objects lies in memory and is not counted."""
    folder, mark = ExperimentFolder(place / "out"), uuid.uuid4().hex
    temporary = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets take short paths only
    command = [sys.executable, "-m", "archsearch", "run", str(DIGITS), "--trials", str(trials), *WORDS,
               "--output", str(folder.path)]  # fmt: skip
    environment = {**marked(mark), "TMPDIR": str(temporary), "RAY_TMPDIR": str(temporary)}
    most = {"everything": 0, "folder": 0, "Ray": 0}
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=log, env=environment)
        while process.poll() is None:
            now = {"everything": taken(place, temporary), "folder": taken(folder.path), "Ray": taken(temporary)}
            most = {name: max(most[name], now[name]) for name in most}
            time.sleep(2)
    check_words(process.returncode, (place / "log").read_text(), allowed={0})
    check_whole(folder, planned=trials)
    check_gone(mark)
    most["at the end"] = taken(place)
    shutil.rmtree(temporary, ignore_errors=True)
    return {name: size / 1e6 for name, size in most.items()}
