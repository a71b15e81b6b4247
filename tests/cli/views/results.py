"""Views of what is known: a search's summary, and the pages of `check`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from archsearch.cli import main
from archsearch.cli.showing import page, summary
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.summary import summarise
from archsearch.space.loading import load_space
from archsearch.space.placement import placed
from tests.analysis.report.searches import SPACE, experiment
from tests.cli.views.text import Terminal, coloured


def summaries(place: Path) -> Iterator[str]:
    """Summaries of searches in several states, in lines and as a panel."""
    objectives = "search.objectives={accuracy: max, params: min}"
    varied = SPACE.replace("epochs: 9", "epochs: 9, learning_rate: {float: [0.01, 0.3], log: true}")
    for name, trials, text, words, settings in (
        ("finished", 9, varied, (objectives,), {}),
        (
            "interrupted",
            7,
            SPACE.replace("digits", "cifar10, root: /images"),
            (),
            {"state": "interrupted", "fail": 0.3},
        ),
        ("none", 2, SPACE, ("search.wall_time=1h",), {"state": "failed"}),
        ("only", 3, SPACE, (objectives,), {}),
    ):
        (place / name).mkdir()
        with chdir(place / name):
            folder = ExperimentFolder(experiment(Path(), trials, *words, text=text, **settings).path)
            with Ledger.open(folder.ledger) as ledger:
                if name == "finished":
                    waiting = ledger.trials(TrialState.PAUSED)[0]
                    ledger.promote(waiting.number, bracket=1)
                    ledger.start(waiting.number, resume_epoch=1)
                    ledger.pause(waiting.number, 0.6, rung=3, bracket=1)
                    ledger.note("tested", {"test_accuracy": 0.5}, trial=1)  # the best so far, before it went on
                    ledger.note("tested", {"test_accuracy": 0.654}, trial=ledger.best().number)  # type: ignore[union-attr]
                    ledger.note("exhausted", {})
                if name == "none":
                    ledger._clock = lambda: 1e9 + 300
                    ledger.begin({})
                    ledger.end("failed", {"reason": "the disk is full"})
            document = summarise(folder)
            document["seconds"] = 4321.0
            if name == "finished":
                document["best"]["training"] = {"learning_rate": 0.0123456}
            for row, figures in zip(document["rungs"], ((0.5, 0.25, 6), (0.1, None, 3)), strict=False):
                if name == "finished":
                    row["correlation"], row["corrected"], row["n"] = figures
            for stdout, width in ((io.StringIO(), 110), (Terminal(), 110), (Terminal(), 80), (Terminal(), 60)):
                terminal = {"COLUMNS": str(width), "LINES": "40", "TERM": "xterm"}
                with patch.dict(os.environ, terminal, clear=True), redirect_stdout(stdout):
                    summary.show(document, as_json=False)
                yield f"--- {name} {width}\n{coloured(stdout.getvalue())}"
            (folder.path / "space.yaml").write_text("archsearch: 1\n")
            yield "\n".join(summary._next(document)[:2])


WIDER = """
archsearch: 1
name: wider
data: {name: cifar10}
space:
  stem: {width: 8}
  stages: {int: [1, 3]}
  depth: {int: [1, 100], each: stage}
  width: {choice: [8, 16, 32, 64], each: stage, order: increasing}
  block: {choice: [basic, bottleneck]}
  cardinality: {choice: [1, 2, 4], when: {block: bottleneck}}
budget: {flops: {max: 40M}, memory: {max: 3G}}
search: {trials: 60, epochs: 100}
training: {epochs: 9, learning_rate: {float: [0.01, 0.3], log: true}}
"""


BOUNDS = "budget={flops: {between: [16k, 30k]}, params: {max: 900}, latency: {max: 5}}"
FEW = (
    "budget={flops: {min: 110k}, params: {between: [500, 20k]}}",
    "space.depth={int: [1, 8]}",
    "space.width={choice: [8, 64]}",
    "space.block=basic",
    "space.cardinality=1",
)


def checked(place: Path) -> Iterator[str]:
    """The pages of `check` without a probe."""
    spaces = {
        "small": (SPACE, ()), "wider": (WIDER, ()), "reach": (SPACE, (BOUNDS,)), "whole": (SPACE, FEW),
        "no budget": (SPACE, ("budget={}", "space.depth=2", "space.width={choice: [8, 24]}", "search.wall_time=1h")),
        "stages": (SPACE, ("space.stages={int: [1, 6]}", "space.depth=1", "space.width={choice: [8, 9]}")),
    }  # fmt: skip
    with chdir(place):
        for name, (text, words) in spaces.items():
            Path("space.yaml").write_text(text)
            overrides = [part for word in words for part in ("--set", word)]
            with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
                main(["check", "space.yaml", "--no-probe", "--samples", "400", *overrides])
            yield f"--- {name}\n{stdout.getvalue()}{stderr.getvalue()}"


FORECAST = {
    "trials": 40, "trial_epochs": 200.0, "trial_epochs_at_most": 360, "epoch_seconds": 1.5, "networks": 96,
    "at_once": 1, "hours": 3.0, "hours_at_most": 6.0, "gpu_hours": None, "gpu_hours_at_most": None, "wall_hours": None,
}  # fmt: skip
PROBE = {
    "networks": [1, 2], "seconds": 8.0, "device": "cpu", "device_name": "a core", "threads": 1, "precision": "float32",
    "busy": False, "error": 0.056,
}  # fmt: skip


def _limits(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high}


CLUSTER = {
    "cluster": "eight A100", "hours": _limits(0.02, 1.5), "core_hours": _limits(12.0, 123.4), "gpu_hours": None,
    "lanes_per_device": 1, "lanes": 8, "cores": 32, "busy_share": _limits(0.5, 0.75),
    "start_up_seconds": _limits(30, 30), "epoch_seconds": _limits(1.234, 123.4), "precision": "bfloat16",
    "source": "data sheets", "bound": None, "ends_by_wall_time": False,
}  # fmt: skip


GPU = "resources.gpus_per_trial=1"


def foretold(place: Path) -> Iterator[str]:
    """What the page says of forecasts, of this machine's and of a cluster's."""
    with chdir(place):
        Path("space.yaml").write_text(SPACE)
        for probe, changed, cluster, words in (
            ({}, {}, None, ()),
            ({"busy": True, "threads": 2}, {"at_once": 2, "gpu_hours": 0.512, "gpu_hours_at_most": 1.0}, CLUSTER, ()),
            ({"device": "cuda"}, {"wall_hours": 3.0}, {**CLUSTER, "ends_by_wall_time": True}, (GPU,)),
            ({}, {"trial_epochs": 360.0, "hours": 0.01},
             {**CLUSTER, "gpu_hours": _limits(5.0, 5.0), "lanes_per_device": 2.5}, (GPU,)),
            ({}, {"wall_hours": 3.5}, {**CLUSTER, "bound": {"memory": 0.5, "overhead": 0.0, "arithmetic": 0.25}},
             ("search.epochs=70",)),
        ):  # fmt: skip
            space = load_space("space.yaml", words)
            placement = placed("auto", space.resources, gpus=probe.get("device") == "cuda")
            document = {
                "trials": 40, "epochs": 9, "search_flops_at_most": 1.5e12, "not_foretold": None, "cluster": cluster,
                "placement": placement.to_dict() if GPU in words else None,
                "execution": None if GPU in words else {"text": "1 thread per training: as many trainings as cores run "
                                                                "at once; float32"},
                "forecast": {**FORECAST, **changed}, "probe": {**PROBE, **probe},
            }  # fmt: skip
            yield "---\n" + "\n".join([*page._foretold(space, document), *page._elsewhere(document)])
