"""Whether the host waits for the GPU within an epoch: its launches would then not be ahead of the work.

On a GPU torch refuses the operations for which the host waits, as far as it knows them. On a CPU a static step's
operations are recorded: none of them reads a value for the host, and each step's are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archsearch import build
from archsearch.space.settings import TrainingSettings
from archsearch.training.epoch import graph
from archsearch.training.feeds.feed import HostFeed
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic
from benchmarks.gpu_sections.correctness import BATCH, DEPTH, SHAPE, network
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Gpu, Setting
from benchmarks.gpu_sections.ways import fewest, patched, problem_of, replayable_here
from tests.training.capturing import Recorded, Tape
from tests.training.recipes import RECIPES

MOST_AN_EPOCH = 4
DEPTHS = {"depth per sample": {**DEPTH, "per": "sample"}, "depth per batch": DEPTH}
GRAPHS = {"replayed": "auto", "eager": "off"}


def run(row: Row, setting: Setting) -> None:
    names = ["plain", "mixed", "depth per batch"] if setting.quick else [*RECIPES, *DEPTHS, "images on the host"]
    with fewest(0), replayable_here(setting):
        for name in names:
            with row.part(name):
                row.needs(0.5)
                if setting.gpu is None:
                    recorded(row, name, setting)
                else:
                    refused(row, name, setting, setting.gpu)
    if setting.gpu is None:
        row.leave_out("what the host waits for on a GPU", NO_GPU)


def training(name: str, setting: Setting, graph: str) -> Training:
    images = synthetic(SHAPE, 10, train=35, validation=2)
    recipe = {"recipe": "none", "batch_size": BATCH, "graph": graph, "precision": "float32", "epochs": 9}
    if setting.device.type == "cuda":
        recipe["precision"] = "bfloat16"
    settings = TrainingSettings(**{**RECIPES.get(name, {"crop_padding": 2, "mixup": 0.2}), **recipe})
    depth = DEPTHS.get(name, {})
    feed = HostFeed(images, settings, setting.device) if name == "images on the host" else None
    return Training(build(network(**depth), seed=0), images, settings, seed=0, device=setting.device, feed=feed)


def refused(row: Row, name: str, setting: Setting, gpu: Gpu) -> None:
    """Two epochs each way after a first: one in which waiting is refused between the steps, one in which it is
    counted."""
    for way, value in GRAPHS.items():
        trained = training(name, setting, value)
        trained.train_epoch()
        with gpu.waiting_refused() as refusing:
            # From the first step's end to the last one's: before and after them an epoch may wait.
            trained.on_step = lambda step, steps, refusing=refusing: refusing(step < steps)
            problem = None
            try:
                trained.train_epoch()
            except RuntimeError as error:
                problem = str(error).splitlines()[0][:200]
        row.mark(f"{name}, {way}: within the steps", problem or 0, "0", passed=problem is None)
        trained.on_step = None
        if problem is None:
            waits = gpu.waits(trained.train_epoch)
            row.mark(f"{name}, {way}: an epoch", waits, f"at most {MOST_AN_EPOCH}", passed=waits <= MOST_AN_EPOCH)
        if way == "replayed" and (why := problem_of(trained)) is not None:
            row.mark(f"{name}, {way}", why, "no fall-back", passed=False)


def recorded(row: Row, name: str, setting: Setting) -> None:
    """An epoch of static steps, each recorded; or the pieces of one, whose order differs from step to step."""
    modes: list[Recorded] = []

    def recording(step: Callable[[], None], **_: Any) -> Callable[[], None]:
        def stepped() -> None:
            with Recorded() as mode:
                step()
            modes.append(mode)

        return stepped

    def taping(piece: Callable[[], None], **_: Any) -> Callable[[], None]:
        with Tape() as tape:
            piece()
        modes.append(tape.recorded)
        return tape.replay

    pieces = name == "depth per batch"
    with patched(graph, captured=taping if pieces else recording):
        training(name, setting, "auto").train_epoch()
    reads = sorted({read for mode in modes for read in mode.reads})
    alike = pieces or len({tuple(mode.trace) for mode in modes}) == 1
    kind = "pieces" if pieces else "steps, alike" if alike else "steps, not alike"
    what = f"{len(modes)} {kind}, reads: {', '.join(reads) or 'none'}"
    row.mark(f"{name}: the static step", what, "alike, no value read", passed=alike and bool(modes) and not reads)
