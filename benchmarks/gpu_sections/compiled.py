"""Our steps against torch.compile's steady state: a minute or more a network, so not among the usual sections."""

from __future__ import annotations

import statistics

from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting
from benchmarks.gpu_sections.steps import SUBJECTS, plain
from benchmarks.gpu_sections.ways import fewest, on_noise, replayable_here

OF_COMPILED = 0.9
NAMES = ("resnet20_cifar", "resnet56_cifar", "resnet110_cifar", "wrn28_10_cifar", "densenet_bc100_12_cifar", "resnet50")


def run(row: Row, setting: Setting) -> None:
    if setting.gpu is None:
        row.leave_out("all of it", NO_GPU)
        return
    for subject in sorted((one for one in SUBJECTS if one.network in NAMES), key=lambda one: NAMES.index(one.network)):
        with row.part(subject.network), fewest(0), replayable_here(setting):
            row.needs(45)
            network, steps = subject.architecture(setting), subject.steps if setting.device.type == "cuda" else 2
            batch = subject.batch if setting.device.type == "cuda" else 8
            ours = on_noise(network, setting, batch=batch, steps=steps, precision=subject.precision).train_epoch
            theirs = plain(network, batch, setting, steps, precision=subject.precision, compiled=True)
            ways = {"ours": ours, "compiled": theirs}
            row.figure(f"{subject.network}: compile_s", round(setting.seconds(theirs), 1))
            seconds = {name: [setting.seconds(way) / steps for _ in range(4)][1:] for name, way in ways.items()}
            spent = {name: statistics.median(each) for name, each in seconds.items()}
            row.figure(f"{subject.network}: ms_a_step", {name: round(1e3 * of, 4) for name, of in spent.items()})
            times = spent["compiled"] / spent["ours"]
            row.mark(subject.network, round(times, 2), f"{OF_COMPILED} of torch.compile", passed=times >= OF_COMPILED)
        if setting.quick:
            break
