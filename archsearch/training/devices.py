"""The GPUs that torch can use: in words, and how full one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def gpus() -> list[str] | None:
    """Each one's name and memory; None where torch can use none. Raises ImportError where torch cannot be loaded."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [f"{device.name} {device.total_memory / 2**30:.0f} GiB" for device in found]


def memory_in_use(device: torch.device) -> dict[str, float]:
    """`gpu_memory`: the share of the GPU's memory that is taken, by whomever; nothing of a CPU."""
    import torch

    if device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {"gpu_memory": 1 - free / total}
