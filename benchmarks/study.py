"""How long 10,000 trials take as a study of Optuna: made anew, asked again, and after one more epoch.

Claim: made anew in 20 s or less.

    python benchmarks/study.py [--json] [--trials N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.session import create
from archsearch.space.choices import RandomChoices, Recorder
from archsearch.space.loading import load_space
from archsearch.study.storage import optuna_study

SPACE = Path(__file__).parents[1] / "search_spaces" / "digits.yaml"
EPOCHS = 9


def fill(folder: ExperimentFolder, trials: int) -> None:
    """Made-up trials, a third of them trained in full."""
    space = load_space(folder.space_yaml)
    with Ledger.open(folder.ledger) as ledger, ledger.transaction():
        for number in range(1, trials + 1):
            recorder = Recorder(RandomChoices(number))
            network: Architecture = space.architecture(recorder)
            cost = {"params": number, "flops": 9 * number, "macs": 8 * number, "activations": 5, "memory": 7}
            ledger.propose(choices=recorder.taken, architecture=network.to_dict(), digest=f"{number:016x}",
                           cost=cost, seed=number)  # fmt: skip
            ledger.start(number)
            epochs = EPOCHS if number % 3 == 0 else 3
            for epoch in range(1, epochs + 1):
                ledger.epoch(number, epoch, {"validation_accuracy": 0.1 * epoch, "train_loss": 1.0, "seconds": 1.0})
            if epochs == EPOCHS:
                ledger.finish(number, 0.9)
            else:
                ledger.pause(number, 0.3, rung=3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trials", type=int, default=10_000)
    asked = parser.parse_args()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = ExperimentFolder(Path(place) / "x")
        create(load_space(SPACE), folder, name="x")
        fill(folder, asked.trials)

        def timed(name: str, act: Any) -> Any:
            began = time.perf_counter()
            result = act()
            seconds[name] = round(time.perf_counter() - began, 3)
            return result

        study = timed("opened", lambda: optuna_study(folder))
        timed("first reading", lambda: study.get_trials(deepcopy=False))
        timed("again", lambda: study.get_trials(deepcopy=False))
        timed("again, copies", lambda: study.trials)
        with Ledger.open(folder.ledger) as ledger:
            ledger.promote(1)
            ledger.start(1, resume_epoch=3)
            ledger.epoch(1, 4, {"validation_accuracy": 0.4})
            timed("after one more epoch", lambda: study.get_trials(deepcopy=False))
        timed("trials_dataframe", study.trials_dataframe)
    whole = seconds["opened"] + seconds["first reading"]
    document = {
        "name": "study",
        "figures": {"trials": asked.trials, "seconds": seconds},
        "target": "made anew in 20 s or less",
        "met": whole <= 20,
        "machine": machine(),
        "versions": {p: importlib.metadata.version(p) for p in ("archsearch", "optuna")},
        "n": 1,
    }
    print(json.dumps(document, indent=2) if asked.json else f"{asked.trials} trials, seconds: {seconds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
