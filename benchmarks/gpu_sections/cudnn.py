"""What it costs that cuDNN times its kernels, and what it gains: off, limited to two of them, and on.

Each way is a process of its own, since cuDNN's choices are kept for the whole process. The rule that is checked is
`cudnn_benchmark: auto`, for trainings of 1, 9 and 30 epochs of CIFAR's 390 steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from archsearch.space.settings import TrainingSettings
from archsearch.training.randomness import benchmarks
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting
from benchmarks.gpu_sections.steps import SUBJECTS
from benchmarks.gpu_sections.ways import fewest, on_noise, patched, replayable_here
from benchmarks.gpu_sections.workers import workers

MODES = {"off": ("never", 10), "limited": ("always", 2), "on": ("always", 10)}  # and torch's benchmark_limit
NAMES = ("resnet20_cifar", "digits", "densenet_bc100_12_cifar", "resnet56_cifar", "wrn28_10_cifar", "resnet50")
EPOCH, EPOCHS = 390, (1, 9, 30)
NEAR = 1.05


def run(row: Row, setting: Setting) -> None:
    if setting.gpu is None:
        row.leave_out("all of it", f"{NO_GPU}: a CPU has no cuDNN")
        return
    names = NAMES[:1] if setting.quick else NAMES
    right, checked = [], 0
    with ExitStack() as stack:
        of_mode = {}
        for mode in MODES:
            (of_mode[mode],) = stack.enter_context(workers(1, "cudnn:timed", setting, mode=mode, networks=names))
        for worker in of_mode.values():
            worker.answer(row.remaining())  # it is ready
        for name in names:
            with row.part(name):
                row.needs(2)
                figures = {}
                for mode, worker in of_mode.items():
                    figures[mode] = worker.next(row.remaining())
                row.figure(name, figures)
                for epochs in EPOCHS:
                    checked += 1
                    if ruled(figures, epochs):
                        right.append(name)
    expected = len(EPOCHS) * len(names)
    row.mark(
        "cudnn_benchmark: auto", f"{len(right)} of {checked}", f"{expected} of {expected} within 5 % of the best",
        passed=len(right) == expected,
    )  # fmt: skip


def ruled(figures: dict[str, dict[str, float]], epochs: int) -> bool:
    """Whether what auto takes for so many epochs is about the faster of off and on."""
    seconds = {mode: of["before_s"] + epochs * EPOCH * of["ms"] / 1e3 for mode, of in figures.items()}
    auto = benchmarks(TrainingSettings(recipe="none"), epochs * EPOCH)
    return seconds["on" if auto else "off"] <= NEAR * min(seconds["off"], seconds["on"])


def timed(setting: Setting, mode: str, networks: list[str]) -> Iterator[dict[str, Any]]:
    """Yields {} when it is ready, then each network's seconds before its first epoch is over but for its steps, and
    the milliseconds of a step. Runs in a worker."""
    how, limit = MODES[mode]
    yield {}
    subjects = {subject.network: subject for subject in SUBJECTS}
    flags = partial(torch.backends.cudnn.flags, benchmark_limit=limit)
    with patched(torch.backends.cudnn, flags=flags), fewest(0), replayable_here(setting):
        for name in networks:
            subject, cuda = subjects[name], setting.device.type == "cuda"
            steps, batch = (min(subject.steps, 10), subject.batch) if cuda else (2, 8)
            training = on_noise(
                subject.architecture(setting), setting, batch=batch, steps=steps, precision=subject.precision,
                cudnn_benchmark=how,
            )  # fmt: skip
            first = setting.seconds(training.train_epoch)
            epoch = min(setting.seconds(training.train_epoch) for _ in range(2))
            yield {"before_s": round(max(0.0, first - epoch), 4), "ms": round(1e3 * epoch / steps, 4)}
