"""The accuracy on scikit-learn's digits of trainings that are eager, replayed, and in bfloat16: several seeds each."""

from __future__ import annotations

import statistics
from pathlib import Path

import archsearch
from archsearch.data.datasets import load_images
from archsearch.space.loading import load_space
from archsearch.training.loop import Training
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting
from benchmarks.gpu_sections.steps import SUBJECTS
from benchmarks.gpu_sections.ways import fewest, problem_of, replayable_here

SPACE = Path(__file__).parent.parent.parent / "search_spaces" / "digits.yaml"
WAYS = {
    "eager": {"graph": "off", "precision": "float32"},
    "graph": {"graph": "auto", "precision": "float32"},
    "bfloat16": {"graph": "auto", "precision": "bfloat16"},
}
POINTS = 0.5
SEEDS = 8  # on a GPU: the mean of three seeds on 360 images is known to about a quarter of a point alone


def run(row: Row, setting: Setting) -> None:
    space, subject = load_space(SPACE), SUBJECTS[1]
    images, network = load_images(space.data), subject.architecture(setting)
    epochs, seeds = (2, 1) if setting.quick else (space.training.epochs, SEEDS if setting.device.type == "cuda" else 3)
    accuracies: dict[str, list[float]] = {name: [] for name in WAYS}
    with fewest(0), replayable_here(setting):
        for seed in range(seeds):
            for name, recipe in WAYS.items():
                with row.part(f"{name}, seed {seed}"):
                    row.needs(2)
                    settings = space.training.with_overrides({**recipe, "epochs": epochs})
                    model = archsearch.build(network, seed=seed)
                    training = Training(model, images, settings, seed=seed, device=setting.device)
                    for _ in training:
                        pass
                    accuracies[name].append(training.evaluate("test").accuracy or 0.0)
                    if name != "eager" and (problem := problem_of(training)) is not None:
                        row.mark(f"{name}, seed {seed}", problem, "no fall-back", passed=False)
    points = {name: round(100 * statistics.mean(values), 2) for name, values in accuracies.items() if values}
    row.figure("test accuracy, %", {name: [round(100 * one, 2) for one in of] for name, of in accuracies.items()})
    spread = max(points.values()) - min(points.values())
    if setting.gpu is None:
        row.leave_out("captured graphs", f"{NO_GPU}: a tape of the steps' operations stood for each")
        equal = accuracies["eager"] == accuracies["graph"]
        row.mark("eager and static steps", points, "the same accuracy", passed=equal)
    else:
        row.mark("spread of the means", round(spread, 2), f"at most {POINTS} points", passed=spread <= POINTS)
