"""The random generators of a training, which leaves torch's global state as it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from archsearch.space.settings import TrainingSettings

# Steps beyond which cuDNN times its kernels: a guess. A network has some 10 to 50 shapes of convolutions, each timed
# forward and twice backward, in all 0.3 to 3 s; a step of a small network takes 1 to 3 ms, of which the fastest kernels
# may save a tenth. That pays from a thousand steps on, give or take a factor of three. benchmarks/gpu_proof.py measures
# what tuning takes and saves, in six networks.
BENCHMARKED = 1000


def generator_of(seed: int, purpose: str, epoch: int) -> torch.Generator:
    """The generator of one kind of draw in one epoch. On the CPU whatever the device: a GPU sees the same order and
    crops."""
    return torch.Generator().manual_seed(number_of(seed, purpose, epoch))


def number_of(seed: int, purpose: str, epoch: int) -> int:
    """A number below 2**63 that (seed, purpose, epoch) decide."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def benchmarks(settings: TrainingSettings, steps: int) -> bool:
    """Whether cuDNN times its kernels for a training of so many steps."""
    if settings.deterministic or settings.cudnn_benchmark == "never":
        return False
    return settings.cudnn_benchmark == "always" or steps > BENCHMARKED


@contextmanager
def torch_seeded(
    seed: int, epoch: int, device: torch.device, *, deterministic: bool, benchmark: bool
) -> Iterator[None]:
    """torch's own draws (dropout) are seeded inside, and its state is put back after. On a GPU, cuDNN looks for the
    fastest kernels where `benchmark`; where `deterministic`, torch takes those alone that give the same bits each time.
    """
    with ExitStack() as stack:
        on_gpu = device.type == "cuda"
        stack.enter_context(torch.random.fork_rng(devices=[device] if on_gpu else []))
        torch.default_generator.manual_seed(number_of(seed, "model", epoch))
        if on_gpu:
            stack.enter_context(torch.cuda.device(device))
            torch.cuda.manual_seed(number_of(seed, "model", epoch))
            stack.enter_context(
                torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=deterministic)
            )
            if deterministic:
                stack.enter_context(_deterministic())
        yield


@contextmanager
def _deterministic() -> Iterator[None]:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
