"""Pages of searches that nobody trained, with every text and every coordinate of their charts, as lines of a file each.

    .venv/bin/python -m tests.analysis.report.reference     # writes tests/analysis/report/reference/*.txt anew

A line of an SVG element is its tag, its coordinates in whole pixels, and after a bar its other attributes and its
text; any other line is a text of the page, the cells of a row on one. The drawings of networks are left out, which
tests/analysis/test_drawing.py holds; so is what differs from run to run: folders, the day, the version, ids.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from archsearch import __version__
from archsearch.analysis.report import Context, document, page, read_experiment
from archsearch.analysis.report.comparing import compare, comparison_page
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.predictions import Predictions, SplitPredictions, keep
from tests.analysis.report.searches import SPACE, by_depth, confirm, experiment

FOLDER = Path(__file__).parent / "reference"
COORDINATES = ("x", "y", "cx", "cy", "x1", "y1", "x2", "y2", "points", "viewBox", "width", "height")
UNTOLD = ("role", "tabindex", "scope", "type", "aria-live", "rx")  # attributes
INLINE = ("td", "th", "code", "small", "span", "i", "a", "dt", "dd")
OBJECTIVES = "search.objectives={accuracy: max, params: min, memory: min}"
BUDGET = "budget={flops: {between: [40k, 1M]}, params: {max: 90k}, latency: {max: 0.6}}"


class Lines(HTMLParser):
    """What a page shows, line by line, in `lines`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._text = self._begun = ""
        self._open: list[str] = []
        self._unseen = 0  # elements within a drawing, a style or a script
        self._data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if self._unseen or values.get("class") == "drawing" or (tag in ("style", "script") and "id" not in values):
            self._unseen += tag not in ("circle", "line", "rect", "polygon", "polyline", "path")
            return
        self._data = self._data or tag == "script"
        if tag in INLINE:
            self._text += " | " if tag in ("td", "th", "dt", "dd") else ""
        else:
            self._flush()
        if "viewBox" in values or "svg" in self._open:
            self._begun = _drawn(tag, values)
            if tag != "text":
                self._flush()
        elif shown := [f"{name}={value}" for name, value in values.items() if name not in UNTOLD]:
            if tag in INLINE:
                self._text += f"[{' '.join(shown)}]"
            elif tag != "meta":
                self.lines.append(f"<{tag} {' '.join(shown)}>")
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._unseen:
            self.handle_starttag(tag, attrs)
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            self._unseen -= 1
            return
        if tag not in INLINE:
            self._flush()
        while self._open and self._open.pop() != tag:
            pass  # meta and link do not close

    def handle_data(self, data: str) -> None:
        if self._data and data.startswith("{"):
            self.lines += [f"{trial}: {' / '.join(texts)}" for trial, texts in json.loads(data).items()]
        elif not self._unseen:
            self._text += data

    def _flush(self) -> None:
        self.lines += [self._begun + line.strip() for line in self._text.strip().split("\n") if line or self._begun]
        self._text = self._begun = ""


def _drawn(tag: str, values: Mapping[str, str]) -> str:
    numbers = [
        f"{float(number):.0f}" for name in COORDINATES for number in re.findall(r"[-\d.]+", values.get(name, ""))
    ]
    rest = [value for name, value in values.items() if name not in (*COORDINATES, *UNTOLD) and value]
    return f"{tag} {' '.join(numbers)} | {' '.join(rest)} "


def lines_of(text: str, *folders: Path) -> list[str]:
    """A page's lines, without what differs from run to run."""
    reader = Lines()
    reader.feed(text)
    shown = "\n".join(line.rstrip() for line in reader.lines)
    for folder in folders:
        shown = shown.replace(str(folder), "FOLDER")
    shown = shown.replace(f"archsearch {__version__}", "archsearch VERSION")
    shown = re.sub(r"(\| archsearch \| \S+ \S*\])[\w.+]+", r"\1VERSION", shown)
    shown = re.sub(r"(\| experiment's id \| \S+ \S*\])\w+", r"\1ID", shown)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DAY", shown).splitlines()


def report(folder: ExperimentFolder, **context: Any) -> list[str]:
    """The lines of a search's report."""
    reading = read_experiment(folder, Context(**context))
    return lines_of(page(reading, document(reading)), folder.path)


def whole(place: Path) -> list[str]:
    """Several objectives, bounds with both ends, a GPU's share, failures, two rungs in two brackets, a confirmation
    with a random search, and a look at the test split."""
    settings = (OBJECTIVES, BUDGET, "resources.gpus_per_trial=0.25")
    folder = experiment(place, 26, *settings, fail=0.15, latency=True, pace=40.0, state=None)
    with Ledger.open(folder.ledger) as ledger:
        ledger._clock = lambda: 1e9 + 40_000
        paused = ledger.trials(TrialState.PAUSED)
        with ledger.transaction():
            for trial in paused[:4]:
                ledger.promote(trial.number, bracket=1)
                ledger.start(trial.number, resume_epoch=1)
                for epoch in (2, 3):
                    ledger.epoch(trial.number, epoch, {"epoch": epoch, "validation_accuracy": 0.6, "seconds": 2.0})
                ledger.pause(trial.number, 0.6 + trial.number / 1000, rung=3, bracket=1)
            for trial in paused[4:7]:
                ledger.stop(trial.number, trial.value or 0.0, "too low")
            best = ledger.best()
            assert best is not None
            ledger.note("tested", {"test_accuracy": 0.777}, trial=best.number)
            ledger.note("precision", {"precision": "bfloat16", "text": "bfloat16 on a GPU"})
            ledger.end("finished")
    confirm(folder, best.number)
    file = folder.confirmation.document
    verdict = json.loads(file.read_text())
    one = {"mean": 0.915, "low": 0.5, "high": 1.0, "half": 0.5, "deviation": 0.2, "n": 2, "confidence": 0.95,
           "values": [0.90, 0.93]}  # fmt: skip
    row = {**verdict["rows"][1], "winner": False, "kind": "trial", "test": None}
    verdict["rows"] += [
        {**row, "rank": 3, "name": "t0001", "trial": 1, "validation": one, "note": "two seeds alone"},
        {**row, "rank": 4, "name": "t0002", "trial": 2, "validation": None, "note": "failed"},
    ]
    verdict["notes"] = ["a note"]
    verdict["differences"] += [{**verdict["differences"][0], "over": "t0001", "test": None, "told_apart": False}]
    file.write_text(json.dumps(verdict))
    random = experiment(folder.confirmation.path, 9, pace=40.0, seed=5)
    random.path.rename(folder.random_search.path)
    baselines = {"resnet8_cifar": {"flops": 4e5, "params": 5e3}, "cheap": {"flops": 3e4, "params": 3e3},
                 "dear": {"flops": 9e5, "params": 3e4}, "far dearer": {"flops": 9e7, "params": 3e6}}  # fmt: skip
    return report(folder, startup=9, baselines=baselines, page="http://127.0.0.1:5000/#/1")


def drawn_at_random(place: Path) -> list[str]:
    """Every trial drawn at random and trained to its end, none was confirmed."""
    folder = experiment(place, 14, "search.sampler=random", every=True, pace=4.0)
    return report(folder, startup=float("inf"))


def mistaken(place: Path) -> list[str]:
    """A confirmed winner with its outputs for each image: names of classes that are no plain text, one class at fault,
    one without images, probabilities too sure."""
    folder = experiment(place, 12)
    confirm(folder, 3)
    draw, names = np.random.default_rng(0), ("<cat>", "dog & fox", "a very long name of a class", "none", "owl")
    splits = {}
    for name, images in (("validation", 90), ("test", 160)):
        labels = np.array([0, 1, 2, 4])[np.arange(images) % 4]
        scores = draw.normal(size=(images, 5)) + 3 * np.eye(5)[np.where((labels == 1) & (draw.random(images) < 0.7), 2,
                                                                       labels)]  # fmt: skip
        splits[name] = SplitPredictions(scores=(4 * scores).astype(np.float32), labels=labels)
    outputs = Predictions(task="single_label", classes=names, splits=splits)
    weights = folder.confirmation.weights
    with Ledger.open(folder.ledger) as ledger:
        keep(folder, ledger, outputs.recorded(), weights, sha256(weights.read_bytes()).hexdigest(), 3)
    return report(folder, startup=10)


def interrupted(place: Path) -> list[str]:
    """A search that has not ended, with an unknown sampler, beside a bound of latency."""
    folder = experiment(place, 13, BUDGET, latency=True, state="interrupted", pace=0.2)
    return report(folder, baselines={"resnet8_cifar": {"flops": 4e5, "params": 5e3}})


def unfinished(place: Path) -> list[str]:
    """No trial was trained to its end, too few for advice."""
    return report(experiment(place, 2, state="failed"), startup=10)


def noise(place: Path) -> list[str]:
    """Accuracies that no choice explains."""
    folder = experiment(place, 26, score=lambda _, luck: 0.5 + luck.gauss(0, 0.05), fail=0.1, reason="oom: 3 GiB more")
    return report(folder, startup=10)


def published(place: Path) -> list[str]:
    """A search on CIFAR-10, beside published networks."""
    return report(experiment(place, 6, text=SPACE.replace("digits", "cifar10")), startup=10)


def compared(place: Path) -> list[str]:
    """Two searches, the second one worse."""
    a = experiment(place / "a", 21)
    b = experiment(place / "b", 24, score=lambda choices, luck: by_depth(choices, luck) - 0.05, seed=1)
    return _compared(a, b, 10)


def compared_spaces(place: Path) -> list[str]:
    """Random samples of two spaces, trained to their ends, the second one worse."""
    a = experiment(place / "a", 18, every=True)
    b = experiment(place / "b", 24, score=lambda choices, luck: by_depth(choices, luck) - 0.2, every=True, seed=1)
    return _compared(a, b, float("inf"))


def other_images(place: Path) -> list[str]:
    """Random samples on other images."""
    a, b = (experiment(place / name, 8 + seed, every=True, seed=seed) for seed, name in enumerate("ab"))
    with Ledger.open(b.ledger) as ledger:
        ledger.begin({"data": "e" * 16})
        ledger.end("finished")
    return _compared(a, b, float("inf"))


def incomparable(place: Path) -> list[str]:
    """A search beside one that has too few scores."""
    return _compared(experiment(place / "a", 12), experiment(place / "b", 2), 10)


def _compared(a: ExperimentFolder, b: ExperimentFolder, startup: float) -> list[str]:
    first, second = (read_experiment(folder, Context(startup=startup)) for folder in (a, b))
    return lines_of(comparison_page(compare(first, second)), a.path, b.path)


SHOWN = (
    whole,
    drawn_at_random,
    mistaken,
    interrupted,
    unfinished,
    noise,
    published,
    compared,
    compared_spaces,
    other_images,
    incomparable,
)
CASES: Mapping[str, Callable[[Path], list[str]]] = {case.__name__: case for case in SHOWN}


def main() -> None:
    """Writes every case's file."""
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            (FOLDER / f"{name}.txt").write_text("\n".join(case(Path(place))) + "\n")


if __name__ == "__main__":
    main()
