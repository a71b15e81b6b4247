"""What the device can do at most: the rate of a copy, of a matrix product, of launches, and of a graph's nodes."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import NO_GPU, Setting

H200 = {"copy_TB_s": 3.8, "bfloat16_TFLOP_s": 700.0, "node_us": 2.5}
NODES = 1000


def run(row: Row, setting: Setting) -> None:
    with row.part("copy and product"):
        rates = ceilings(setting)
        row.figure("copy_TB_s", round(rates["bytes"] / 1e12, 3))
        row.figure("bfloat16_TFLOP_s", round(2 * rates["bfloat16"] / 1e12, 2))
        row.figure("float32_TFLOP_s", round(2 * rates["float32"] / 1e12, 2))
    with row.part("launches"):
        numbers = torch.zeros(32, device=setting.device)

        def launches() -> None:
            for _ in range(NODES):
                numbers.add_(1)

        row.figure("launch_us", round(1e6 * median_seconds(launches, setting) / NODES, 3))
        if setting.gpu is None:
            row.leave_out("a graph's node", NO_GPU)
        else:
            row.figure("node_us", round(1e6 * median_seconds(setting.gpu.replay(launches), setting) / NODES, 3))
    if setting.device.type == "cuda" and "H200" in torch.cuda.get_device_name(setting.device):
        for name, target in H200.items():
            value, least = row.figures.get(name, float("nan")), name != "node_us"
            passed = value >= target if least else value <= target
            row.mark(name, value, f"{'at least' if least else 'at most'} {target}", passed=passed)
    else:
        row.leave_out("the marks", "they are an H200's")


def ceilings(setting: Setting) -> dict[str, float]:
    """Multiply-adds a second of a large matrix product in either precision, and bytes a second of a large copy, which
    count twice: read and written."""
    gpu = setting.device.type == "cuda"
    side, rates = 8192 if gpu else 512 if setting.quick or setting.gpu else 2048, {}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        one, other = (torch.randn(side, side, device=setting.device, dtype=dtype) for _ in range(2))
        rates[name] = side**3 / median_seconds(lambda one=one, other=other: torch.mm(one, other), setting)
    source = torch.ones(2**31 if gpu else 2**25, device=setting.device, dtype=torch.uint8)
    target = torch.empty_like(source)
    rates["bytes"] = 2 * source.numel() / median_seconds(lambda: target.copy_(source), setting)
    return rates


def median_seconds(run: Callable[[], object], setting: Setting, rounds: int = 7) -> float:
    """The median of several runs after two that do not count."""
    seconds = [setting.seconds(run) for _ in range(2 + rounds)]
    return statistics.median(seconds[2:])
