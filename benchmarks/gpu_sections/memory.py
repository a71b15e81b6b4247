"""Predicted bytes of a training against what the GPU's allocator counts, and 40 networks one after another.

On a CPU the same prediction against torch's profiler (benchmarks/memory.py).
"""

from __future__ import annotations

import gc
import statistics
import weakref
from typing import Any

from archsearch import cost
from archsearch.architecture.memory import training_bytes
from archsearch.architecture.spec import Architecture
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import MEBI, NO_GPU, Gpu, Setting
from benchmarks.gpu_sections.ways import fewest, noise, on_noise, replayable_here
from benchmarks.memory import compared, within_budget, without_drops

NEAR, RESERVED = (0.8, 1.25), 1.3
SPACE, NETWORKS, EAGER, BATCH = "resnet_cifar", 40, 12, 128


def run(row: Row, setting: Setting) -> None:
    networks = [without_drops(one) for one in within_budget(SPACE, 3 if setting.quick else NETWORKS, seed=7)]
    if setting.gpu is None:
        row.leave_out("the GPU's allocator, 40 networks in one process", NO_GPU)
        with row.part("predicted and seen"):
            marked(row, [1 + compared(one, 8)["error"] for one in networks[: 2 if setting.quick else 6]])
        return
    with row.part("predicted and seen"):
        row.needs(5)
        marked(row, predicted_over_seen(row, networks[:EAGER], setting, setting.gpu))
    with row.part("40 networks in one process"), replayable_here(setting), fewest(0):
        row.needs(5)
        one_after_another(row, networks, setting, setting.gpu)


def marked(row: Row, ratios: list[float]) -> None:
    low, high = NEAR
    value = f"{min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}, of {len(ratios)}"
    row.mark("predicted / seen", value, f"{low} to {high}", passed=low <= min(ratios) <= max(ratios) <= high)


def predicted(network: Architecture, batch: int, precision: Any) -> int:
    """Bytes of the network's training as the search foretells them."""
    counted, (channels, height, width) = cost(network), network.input
    return training_bytes(
        params=counted.params, saved=counted.saved, largest=counted.largest, batch=batch,
        image=channels * height * width, precision=precision,
    )  # fmt: skip


def predicted_over_seen(row: Row, networks: list[Architecture], setting: Setting, gpu: Gpu) -> list[float]:
    """Of each network's eager training, but for the images, which lie on the GPU too. cuDNN's workspaces count."""
    ratios: list[float] = []
    for network in networks:
        if ratios and row.remaining() < 25:
            row.leave_out(f"predicted and seen of {len(networks) - len(ratios)} networks", "no time remains")
            break
        gpu.forget()
        before = gpu.allocated()
        training = short(network, setting, graph="off")
        training.train_epoch()
        setting.wait()
        images = training.images.train.images.nbytes
        ratios.append(predicted(network, batch(setting), "bfloat16") / max(1, gpu.peak() - before - images))
        reference = weakref.ref(training)
        del training
        gc.collect()
        left = gpu.allocated() - before
        if reference() is not None or left > 20 * MEBI:  # cuBLAS keeps a workspace
            row.mark("a training is freed", f"{left / MEBI:.0f} MiB remain", "at most 20 MiB", passed=False)
    row.figure("predicted / seen of each", [round(ratio, 3) for ratio in ratios])
    return ratios


def one_after_another(row: Row, networks: list[Architecture], setting: Setting, gpu: Gpu) -> None:
    """As a lane has them: each training ends before the next one begins, each with a graph of its own."""
    gpu.forget()
    largest, reserved, count = 1, 0, 0
    for network in networks:
        if row.remaining() < 2:
            break
        training = short(network, setting, graph="auto")
        training.train_epoch()
        setting.wait()
        now = gpu.reserved()
        reserved, count = max(reserved, now), count + 1
        del training
        largest = max(largest, predicted(network, batch(setting), "bfloat16"))
    row.figure("networks, reserved MiB at most, MiB of the largest", [count, reserved // MEBI, largest // MEBI])
    alone = [reserved_alone(network, setting, gpu) for network in by_size(networks)[-1:]]
    ratio = reserved / max(1, *alone)
    row.mark("reserved over the largest's", round(ratio, 2), f"at most {RESERVED}", passed=ratio <= RESERVED)
    if count < len(networks):
        row.leave_out(f"{len(networks) - count} of {len(networks)} networks", "no time remains")


def by_size(networks: list[Architecture]) -> list[Architecture]:
    return sorted(networks, key=lambda network: predicted(network, BATCH, "bfloat16"))


def reserved_alone(network: Architecture, setting: Setting, gpu: Gpu) -> int:
    """Bytes that torch holds for this training where nothing was before."""
    gpu.forget()
    training = short(network, setting, graph="auto")
    training.train_epoch()
    setting.wait()
    return gpu.reserved()


def batch(setting: Setting) -> int:
    return BATCH if setting.device.type == "cuda" else 4


def short(network: Architecture, setting: Setting, graph: str) -> Any:
    """A training whose epoch has three steps."""
    count = batch(setting)
    images = _NOISE.get(network.input) or _NOISE.setdefault(network.input, noise(network, 3 * count))
    return on_noise(
        network, setting, batch=count, steps=3, images=images, precision="bfloat16", graph=graph,
        cudnn_benchmark="never",
    )  # fmt: skip


_NOISE: dict[tuple[int, ...], Any] = {}
