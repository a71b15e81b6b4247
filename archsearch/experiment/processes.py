"""The environment of processes that train: how threads wait for one another, which malloc they use, and how torch takes
a GPU's memory.

OpenMP's settings and torch's are read when torch is imported, the malloc when a process starts: they are set before
that, and processes started later inherit them. What the user has set is kept. benchmarks/cpu.py compares the
alternatives.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")  # how a user settles it

GPU_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")  # the user's, too


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """`passive`: idle threads of OpenMP sleep, where they would spin on cores that others need; `jemalloc`: the library
    that Ray's wheel contains stands in for the C library's malloc, where both are there."""

    passive: bool
    jemalloc: bool


USUAL = ProcessSettings(passive=True, jemalloc=True)
"""The choice for every process that trains; benchmarks/cpu.py measures the alternatives."""


def set_waiting(settings: ProcessSettings = USUAL) -> None:
    """Sets how OpenMP's threads wait, in this process's environment. Before the first `import torch`."""
    if settings.passive and not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def set_gpu_allocator() -> None:
    """Lets torch grow a GPU's segments of memory, in this process's environment, where networks of many sizes follow
    one another: fixed ones are left in fragments. Before the first `import torch`."""
    if sys.platform == "linux" and not any(name in os.environ for name in GPU_ALLOCATOR):
        os.environ[GPU_ALLOCATOR[0]] = "expandable_segments:True"


def malloc_variables(settings: ProcessSettings = USUAL) -> Mapping[str, str]:
    """The environment variables that give a new process jemalloc; none where the user has set LD_PRELOAD or a malloc's
    options (MALLOC_...), on other systems than Linux, and without Ray's wheel."""
    user = any(name == "LD_PRELOAD" or name.startswith("MALLOC_") for name in os.environ)
    if not settings.jemalloc or user or sys.platform != "linux":
        return {}
    ray = find_spec("ray")
    for folder in () if ray is None else ray.submodule_search_locations or ():
        if (library := Path(folder, "core", "libjemalloc.so")).is_file():
            return {"LD_PRELOAD": str(library)}
    return {}


@contextmanager
def starting_processes() -> Iterator[None]:
    """Python processes that are spawned inside have the settings for training."""
    set_waiting()
    added = malloc_variables()
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def keep_freed_memory() -> None:
    """Tells glibc to keep for the next step what this process frees, rather than to give it back and fetch it again
    page by page: a DenseNet's step is mostly that. Its resident memory stays at its peak.

    Settings in the user's own environment hold (MALLOC_...). With jemalloc, and elsewhere than on Linux, nothing
    happens.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallctl") and hasattr(library, "mallopt"):  # jemalloc has the former, musl not the latter
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
