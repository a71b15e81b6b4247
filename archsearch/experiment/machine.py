"""What this machine has: cores and memory, on Linux and on macOS, which lacks some of Linux's calls."""

from __future__ import annotations

import os
from pathlib import Path

# Of NVIDIA's driver, of AMD's, and of Windows' for a Linux within it.
GPU_DRIVERS = tuple(map(Path, ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/kfd", "/dev/dxg")))
MEMINFO, CONTAINER_LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


def cores() -> int:
    """The cores that this process may use: its affinity, where the system knows one; else all."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def has_gpu_driver() -> bool:
    """Whether there may be a GPU: only then is torch asked, whose import takes seconds."""
    return any(path.exists() for path in GPU_DRIVERS)


def total_memory() -> int:
    """Bytes of RAM."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> int:
    """Bytes that may still be used: the system's own estimate, or the container's limit where that is less."""
    free = _estimated()
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else ""
    return min(free, int(limit)) if limit.isdigit() else free


def _estimated() -> int:
    """Linux's MemAvailable, else the free pages; half of all where the system says neither, as on macOS."""
    if MEMINFO.is_file():
        values = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
        if "MemAvailable" in values:
            return int(values["MemAvailable"].split()[0]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except ValueError:  # a name that the system does not know
        return total_memory() // 2
