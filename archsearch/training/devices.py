"""The device of a training: choosing it, its name and usual precision; the GPUs of a machine and their memory."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from archsearch.reading.errors import refuse
from archsearch.space.settings import Precision, TrainingSettings

CPUINFO = Path("/proc/cpuinfo")  # Linux alone has it


def gpus() -> list[str] | None:
    """Name and memory of each GPU; None where torch can use none."""
    if not torch.cuda.is_available():
        return None
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [f"{gpu.name} {gpu.total_memory / 2**30:.0f} GiB" for gpu in properties]


def memory_in_use(device: torch.device) -> dict[str, float]:
    """`gpu_memory`: the share of the GPU's memory that all processes on it take; empty for a CPU."""
    if device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {"gpu_memory": 1 - free / total}


def resolve_device(name: str | torch.device) -> torch.device:
    """The device of this name; auto is a GPU where torch has one. Raises InputError for a GPU that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise refuse("training.device: cuda, but torch sees no GPU here", allowed="auto, cpu")
    return torch.device("cuda", torch.cuda.current_device()) if device == torch.device("cuda") else device


def usual_precision(settings: TrainingSettings, device: torch.device) -> Precision:
    """The precision of the settings; where that is auto, bfloat16 on a GPU that has it, else float32."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def device_name(device: torch.device) -> str:
    """The processor's name as the system has it, so that a figure is never taken for another machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
