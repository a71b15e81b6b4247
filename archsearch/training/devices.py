"""The GPUs that torch can use, in words."""

from __future__ import annotations


def gpus() -> list[str] | None:
    """Each one's name and memory; None where torch can use none. Raises ImportError where torch cannot be loaded."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [f"{device.name} {device.total_memory / 2**30:.0f} GiB" for device in found]
