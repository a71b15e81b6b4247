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
TARGETS = ("the host waits nowhere within the steps", f"{MOST_AN_EPOCH} times an epoch at most", "no fall-back")
TARGETS_CPU = ("a step reads no value for the host", "steps launch the same")
GRAPHS = {"replayed": "auto", "eager": "off"}


def run(row: Row, setting: Setting) -> None:
    names = ["plain", "mixed", "depth per batch"] if setting.quick else [*RECIPES, *DEPTHS, "images on the host"]
    wrong: dict[str, list[str]] = {target: [] for target in (TARGETS_CPU if setting.gpu is None else TARGETS)}
    checked = 0
    with fewest(0), replayable_here(setting):
        for name in names:
            with row.part(name):
                row.needs(0.5)
                if setting.gpu is None:
                    recorded(row, name, setting, wrong)
                else:
                    refused(row, name, setting, setting.gpu, wrong)
                checked += 1
    for target, problems in wrong.items():
        row.mark(target, problems or f"all {checked}", "all", passed=not problems and checked == len(names))
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


def refused(row: Row, name: str, setting: Setting, gpu: Gpu, wrong: dict[str, list[str]]) -> None:
    """Two epochs each way after a first: one in which waiting is refused between the steps, one in which it is
    counted."""
    within, an_epoch, replays = TARGETS
    waits: dict[str, int] = {}
    for way, value in GRAPHS.items():
        trained = training(name, setting, value)
        trained.train_epoch()
        with gpu.waiting_refused() as refusing:
            # From the first step's end to the last one's: before and after them an epoch may wait.
            trained.on_step = lambda step, steps, refusing=refusing: refusing(step < steps)
            try:
                trained.train_epoch()
            except RuntimeError as error:
                wrong[within].append(f"{name}, {way}: {str(error).splitlines()[0][:200]}")
        trained = training(name, setting, value)
        trained.train_epoch()
        waits[way] = gpu.waits(trained.train_epoch)
        if waits[way] > MOST_AN_EPOCH:
            wrong[an_epoch].append(f"{name}, {way}: {waits[way]}")
        if way == "replayed" and (why := problem_of(trained)) is not None:
            wrong[replays].append(f"{name}: {why}")
    row.figure(f"{name}: waits an epoch", waits)


def recorded(row: Row, name: str, setting: Setting, wrong: dict[str, list[str]]) -> None:
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
    no_reads, alike = TARGETS_CPU
    reads = sorted({read for mode in modes for read in mode.reads})
    if reads or not modes:
        wrong[no_reads].append(f"{name}: {', '.join(reads) or 'nothing was recorded'}")
    if not pieces and len({tuple(mode.trace) for mode in modes}) != 1:
        wrong[alike].append(name)
    row.figure(name, f"{len(modes)} {'pieces' if pieces else 'steps'}")
