"""The device of a training: choosing it, its name and usual precision; the GPUs of a machine and their memory."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from archsearch.reading.errors import refuse
from archsearch.space.many.packing import memory_fraction
from archsearch.space.settings import Precision, TrainingSettings

BFLOAT16 = (8, 0)  # the compute capability from which on NVIDIA's GPUs have it (Ampere)
CPUINFO = Path("/proc/cpuinfo")  # Linux alone has it


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU, or a slice of one (MIG), as torch sees it: its memory in bytes, and its compute capability."""

    name: str
    bytes: int
    capability: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} {self.bytes / 2**30:.0f} GiB"

    @property
    def bfloat16(self) -> bool:
        """Whether it computes in bfloat16 itself. torch says so also of GPUs that it has emulate it."""
        return torch.version.hip is not None or self.capability >= BFLOAT16

    @property
    def problem(self) -> str | None:
        """Why this torch has no kernels for it; None where it has."""
        oldest = min((_capability(arch) for arch in torch.cuda.get_arch_list() if arch.startswith("sm_")), default=None)
        if torch.version.hip is not None or oldest is None or self.capability >= oldest:
            return None
        has, needs = (".".join(map(str, version)) for version in (self.capability, oldest))
        return f"{self.name} has compute capability {has}, and torch {torch.__version__} needs {needs} or newer"


def _capability(arch: str) -> tuple[int, int]:
    """The compute capability of one of torch's names, such as sm_75, sm_120 or sm_90a."""
    digits = re.sub(r"\D", "", arch)
    return int(digits[:-1]), int(digits[-1])


def visible_gpus() -> list[Gpu]:
    """The GPUs that torch sees, whether or not it can use them; none where it sees none."""
    if not torch.cuda.is_available():
        return []
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [Gpu(name=gpu.name, bytes=gpu.total_memory, capability=(gpu.major, gpu.minor)) for gpu in properties]


def gpus() -> list[Gpu]:
    """The GPUs that torch can use."""
    return [gpu for gpu in visible_gpus() if gpu.problem is None]


def gpus_problem() -> str:
    """Why torch can use no GPU of this machine, or not all of them; empty where it can use each that it sees."""
    if seen := visible_gpus():
        return "; ".join(dict.fromkeys(gpu.problem for gpu in seen if gpu.problem))
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is a build for CPUs alone"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"torch {torch.__version__} cannot use the GPU: {str(error).splitlines()[0][:200]}"
    return f"torch {torch.__version__} sees no GPU"


def gpu_problem() -> str | None:
    """Why this process cannot train on its GPU, the first that it sees; None where a kernel ran there."""
    seen = visible_gpus()
    if not seen:
        return gpus_problem()
    if (problem := seen[0].problem) is not None:
        return problem
    try:
        if torch.ones(8, device="cuda").sum().item() == 8:
            return None
        return f"{seen[0].name} computes wrong sums"
    except RuntimeError as error:  # it fell off the bus, it is out of memory, the driver is too old, ...
        return f"{seen[0].name}: {str(error).splitlines()[0][:200]}"


def limit_memory(share: float) -> None:
    """Lets torch take no more of this process's GPU, the first that it sees, than its share of the memory; a training
    that needs more then runs out of memory (torch.cuda.OutOfMemoryError), and its neighbours do not. A whole GPU has no
    limit."""
    if share < 1:
        torch.cuda.set_per_process_memory_fraction(memory_fraction(share, visible_gpus()[0].bytes), 0)


def tested_with() -> str:
    """What the torch that archsearch is tested with requires of a GPU and its driver, as advice."""
    return (
        "torch 2.15.0 for CUDA 13, with which archsearch is tested, requires NVIDIA's driver 580 or newer and compute "
        "capability 7.5 or newer; older ones require an older torch, or training.device: cpu"
    )


def memory_in_use(device: torch.device) -> dict[str, float]:
    """`gpu_memory`: the share of the GPU's memory that all processes on it take; empty for a CPU."""
    if device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {"gpu_memory": 1 - free / total}


def resolve_device(name: str | torch.device) -> torch.device:
    """The device of this name; auto is a GPU where torch has one. Raises InputError for a GPU that is not there."""
    if name == "auto":
        name = "cuda" if gpus() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise refuse("training.device: cuda, but torch sees no GPU here", allowed="auto, cpu")
    return torch.device("cuda", torch.cuda.current_device()) if device == torch.device("cuda") else device


def usual_precision(settings: TrainingSettings, device: torch.device) -> Precision:
    """The precision of the settings; where that is auto, bfloat16 on a GPU that has it, else float32."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if device.type == "cuda" and has_bfloat16(device) else "float32"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16, if slowly, as every CPU does; not so a GPU that emulates it."""
    return device.type != "cuda" or visible_gpus()[device.index or 0].bfloat16


def device_name(device: torch.device) -> str:
    """The processor's name as the system has it, so that a figure is never taken for another machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
