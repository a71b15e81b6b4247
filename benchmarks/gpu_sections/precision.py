"""Whether the precision that a short measurement chooses is the one in which the whole network trains faster."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from archsearch.space.settings import TrainingSettings
from archsearch.training.measuring.precision import PRECISIONS, choose_precision
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting
from benchmarks.gpu_sections.steps import SUBJECTS
from benchmarks.gpu_sections.ways import on_noise

NAMES = ("resnet20_cifar", "digits", "wrn28_10_cifar", "densenet_bc100_12_cifar", "resnet56_cifar", "resnet50")
NEAR = 1.1


def run(row: Row, setting: Setting) -> None:
    names = NAMES[:1] if setting.quick else NAMES[:2] if setting.gpu is None else NAMES
    if setting.gpu is None:
        row.leave_out("the other networks", f"{NO_GPU}: minutes of a CPU")
    subjects = {subject.network: subject for subject in SUBJECTS}
    right = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with row.part(name):
                row.needs(1.5)
                subject, cuda = subjects[name], setting.device.type == "cuda"
                network, batch = subject.architecture(setting), subject.batch if cuda else 8
                settings = TrainingSettings(recipe="none", batch_size=batch, crop_padding=4, flip=True)
                cache = Path(folder, f"{name}.json")
                chosen = choose_precision(network, settings, device=setting.device, threads=1, cache=cache)
                steps, ms = 10 if cuda else 2, {}
                for precision in PRECISIONS:
                    training = on_noise(network, setting, batch=batch, steps=steps, precision=precision)
                    training.train_epoch()
                    seconds = [setting.seconds(training.train_epoch) for _ in range(3)]
                    ms[precision] = round(1e3 * statistics.median(seconds) / steps, 4)
                passes = ms[chosen.precision] <= NEAR * min(ms.values()) and chosen.reason is None
                right += passes
                row.figure(name, {"chosen": chosen.to_dict(), "ms_a_step": ms, "right": passes})
    if setting.gpu is None:
        row.leave_out("the mark", "on a CPU that others use a verdict of a second may be the other one")
    else:
        target = f"{len(names)} of {len(names)}, or within 10 %"
        row.mark("verdicts", f"{right} of {len(names)}", target, passed=right == len(names))
