"""A trained network made smaller, from its slices to trained ones, in a folder from which an interrupted job goes on.

parent/                model.yaml and weights.safetensors of the trained network: the teacher
slices/DIGEST/         a slice that was trained on: start.safetensors, and what `archsearch train` writes
shrink.json            every figure
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.analysis.ranking import spearman
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.images import Progress
from archsearch.experiment import write_atomically
from archsearch.experiment.layout import TrainingFolder
from archsearch.experiment.pareto import undominated
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import read_json
from archsearch.reading.numbers import format_count
from archsearch.shrinking.scoring import Parent, value_of
from archsearch.shrinking.slices import Limits, Slices
from archsearch.training.checkpoint import weights_to_bytes
from archsearch.training.fit import evaluate_test, train_architecture
from archsearch.training.loop import EpochMetrics
from archsearch.training.pretrained import parent_of_file
from archsearch.training.run import TrainingRun

OnStep = Callable[[int, int], None]
RANKED_SHARE = 0.3  # of the time, at most, for slices without training
SAFETY = 1.2  # what an epoch may take beyond its measurement
LEAST_SHARE = 0.5  # of the limits: the smallest slices that are looked at


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is looked at: `candidates` slices within the limits, of which the best in each of `finalists` ranges of cost
    is trained. `seconds` bound it all: trainings then have fewer epochs than their settings say."""

    limits: Limits
    candidates: int
    finalists: int
    seconds: float | None

    @property
    def shares(self) -> tuple[float, ...]:
        """The upper ends of the ranges, as shares of the limits."""
        return tuple(1 - (1 - LEAST_SHARE) * index / self.finalists for index in range(self.finalists))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Who is told: `tell` messages, `ranked` of slices that were scored, `epochs` of an epoch that ended."""

    tell: Progress
    ranked: OnStep
    epoch: Callable[[str, EpochMetrics], None]


class Shrinking:
    """The job in a folder. Raises InputError for limits that the trained network keeps already, or that no slice keeps,
    and for a folder of another job."""

    def __init__(self, parent: Parent, facts: dict[str, Any], plan: Plan, folder: Path) -> None:
        self.parent, self.plan, self.folder = parent, plan, folder
        self.architecture = parent.network.architecture
        self.began = time.monotonic()
        self.slices = Slices(self.architecture, parent.inheritable)
        self._refuse_limits()
        limits = {"flops": plan.limits.flops, "params": plan.limits.params}
        question = {"parent": facts, "limits": limits, "candidates": plan.candidates, "finalists": plan.finalists}
        question |= {"seed": parent.seed, "training": parent.settings.to_dict(), "images": parent.images.digest}
        self.document: dict[str, Any] = {"asked": question, "seconds": 0.0, "importance": None, "validation": None}
        self.document |= {"slices": [], "epochs": None, "trained": [], "rank_correlation": None, "finished": False}
        if self.file.exists():
            before = read_json(self.file)
            if before.get("asked") != question:
                allowed = "a new folder, or the same command, network, images and settings"
                raise refuse(f"{folder} holds another shrinking", allowed=allowed, file="--output")
            self.document = before
        self.before: float = self.document["seconds"]

    @property
    def file(self) -> Path:
        """Every figure, written after each step."""
        return self.folder / "shrink.json"

    def _refuse_limits(self) -> None:
        counted, least = cost(self.architecture), cost(self.slices.smallest())
        if self.plan.limits.admit(counted):
            problem = f"the trained network is within the limits: {_counts(counted)}"
            raise refuse(problem, allowed="a lower limit", file="--flops")
        if not self.plan.limits.admit(least):
            problem = f"no slice of the trained network is within the limits: the smallest has {_counts(least)}"
            raise refuse(problem, allowed="a higher limit, or a smaller network", file="--flops")

    def carried_out(self, shown: Shown) -> dict[str, Any]:
        """Ranks slices, trains the best, tests what is on the front; the figures, as they are on disk too."""
        if self.document["finished"]:
            return self.document
        teacher = TrainingFolder(self.folder / "parent")
        teacher.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(teacher.model_yaml, self.architecture.to_yaml())
        write_atomically(teacher.weights, weights_to_bytes(self.parent.network.state_dict()))
        self._rank(shown)
        run = self._run(teacher.path, shown)
        for entry in self._finalists():
            if all(trained["digest"] != entry["digest"] for trained in self.document["trained"]):
                self._train(entry, run, shown)
        self._end(run, shown)
        return self.document

    def _save(self) -> None:
        self.document["seconds"] = self.before + time.monotonic() - self.began
        write_atomically(self.file, json.dumps(self.document, indent=1))

    def _left(self) -> float | None:
        if self.plan.seconds is None:
            return None
        return self.plan.seconds - self.before - (time.monotonic() - self.began)

    def _rank(self, shown: Shown) -> None:
        """Scores the slices that are not scored yet, until a share of the time is over."""
        if self.document["importance"] is None:
            shown.tell("measuring what each block contributes")
            metrics = self.parent.evaluated(self.parent.network)
            self.document["validation"] = metrics.to_dict()
            importance = self.parent.importance()
            self.document["importance"] = [[*key, value] for key, value in importance.items()]
            self._save()
        importance = self.importance
        drawn = self.slices.drawn(self.plan.limits, self.plan.shares, self.plan.candidates, self.parent.seed)
        digests = {entry["digest"] for entry in self.document["slices"]}
        shown.tell(f"ranking up to {self.plan.candidates} slices without training")
        for number, (band, architecture) in enumerate(drawn, start=1):
            left = self._left()
            late = left is not None and self.plan.seconds is not None and left < (1 - RANKED_SHARE) * self.plan.seconds
            if late and self.document["slices"]:
                break
            shown.ranked(number, self.plan.candidates)
            if digest(architecture) in digests:
                continue
            try:
                network = self.parent.slice_of(architecture, importance)
            except InputError:  # widths that happen to agree leave a shortcut without its projection
                continue
            counted, value = cost(architecture), value_of(self.parent.evaluated(network))
            self.document["slices"].append({"digest": digest(architecture), "range": band, "untrained": value,
                                            **counted.to_dict(), "architecture": architecture.to_dict()})  # fmt: skip
            self._save()
        if not self.document["slices"]:
            raise refuse("no slice of this network could be cut", allowed="a network of the grammar", file="ARCH")

    @property
    def importance(self) -> dict[tuple[int, int], float]:
        """How much worse the network is without each block, as it was measured."""
        return {(stage, block): value for stage, block, value in self.document["importance"]}

    def _finalists(self) -> list[dict[str, Any]]:
        """The best slice of each range of cost."""
        chosen: list[dict[str, Any]] = []
        for band in range(self.plan.finalists):
            entries = [entry for entry in self.document["slices"] if entry["range"] == band]
            chosen += sorted(entries, key=lambda entry: -entry["untrained"])[:1]
        return chosen

    def _run(self, teacher: Path, shown: Shown) -> TrainingRun:
        """The training of each finalist: of as many epochs as the time has room for, at most those of the settings."""
        settings = self.parent.settings
        if settings.teacher is None and self.parent.images.task != "regression" and settings.teacher_share:
            settings = settings.with_overrides({"teacher": str(teacher)})
        if self.document["epochs"] is None:
            epochs, left = settings.epochs, self._left()
            if left is not None:
                each = self._finalists()
                architectures = [Architecture.from_dict(entry["architecture"]) for entry in each]
                seconds = SAFETY * sum(self.parent.epoch_seconds(one, settings) for one in architectures)
                epochs = max(1, min(epochs, int(left / seconds)))
                minutes = round(epochs * seconds / 60)
                shown.tell(f"{epochs} epochs for each of {len(each)} networks: about {minutes} minutes")
            self.document["epochs"] = epochs
            self._save()
        settings = settings.with_overrides({"epochs": self.document["epochs"]})
        return TrainingRun(settings=settings, seed=self.parent.seed, threads=self.parent.threads)

    def _train(self, entry: dict[str, Any], run: TrainingRun, shown: Shown) -> None:
        architecture = Architecture.from_dict(entry["architecture"])
        name = f"slice {entry['digest']}, {format_count(entry['flops'])} FLOPs"
        shown.tell(f"training {name}")
        files = TrainingFolder(self.folder / "slices" / entry["digest"])
        files.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if files.result.exists():  # ended, but not noted
            result = read_json(files.result)
        else:
            start = files.path / "start.safetensors"
            if not start.exists():
                network = self.parent.slice_of(architecture, self.importance)
                write_atomically(start, weights_to_bytes(network.state_dict()))
            began = replace(parent_of_file(start, architecture), licence=self.parent.licence,
                            origin=f"a slice of {self.parent.origin or self.architecture.name}")  # fmt: skip
            result = train_architecture(architecture, self.parent.images, run, files.path, weights=began, test=False,
                                        on_epoch=lambda metrics: shown.epoch(name, metrics))  # fmt: skip
        value = result["validation"].get("accuracy", -result["validation"]["loss"])
        self.document["trained"].append({**entry, "value": value, "validation": result["validation"], "test": None,
                                         "folder": str(files.path)})  # fmt: skip
        self._save()

    def _end(self, run: TrainingRun, shown: Shown) -> None:
        """The front by validation, whose networks are then tested, each once."""
        trained = self.document["trained"]
        names = [name for name in ("flops", "params") if self.document["asked"]["limits"][name] is not None]
        scores = np.array([[entry["value"], *(-entry[name] for name in names)] for entry in trained], np.float64)
        for entry, stays in zip(trained, undominated(scores), strict=True):
            entry["front"] = bool(stays)
        pairs = [(entry["untrained"], entry["value"]) for entry in trained]
        value = spearman([first for first, _ in pairs], [second for _, second in pairs])
        self.document["rank_correlation"] = {"value": value, "networks": len(pairs)}
        self._save()
        shown.tell("testing the front")
        for entry in trained:
            if entry["front"] and entry["test"] is None:
                entry["test"] = evaluate_test(Path(entry["folder"]), self.parent.images, run)["test"]
                self._save()
        self.document["finished"] = True
        self._save()


def _counts(counted: Any) -> str:
    return f"{format_count(counted.flops)} FLOPs and {format_count(counted.params)} parameters"
