"""What an error in a worker is in the ledger: a kind of failure and a text."""

from __future__ import annotations

import traceback

from archsearch.experiment import Failure
from archsearch.reading.errors import InputError

# As allocators say it that have no exception of their own: the CPU's, oneDNN's, the driver's, cuBLAS', cuDNN's; the
# last is torch's, where each of cuDNN's algorithms requires more workspace than there is.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "std::bad_alloc",
    "could not create a primitive",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "unable to find an engine",
)


def failure_of(error: Exception) -> Failure:
    """An error in a worker as the ledger keeps it: nan, metric, data, oom, or the exception's name and place."""
    import torch

    from archsearch.data.own_metrics import MetricFailed
    from archsearch.training.loop import Diverged

    if isinstance(error, Diverged):
        return Failure("nan", str(error))
    if isinstance(error, MetricFailed):
        return Failure("metric", error.problems[0].message)
    if isinstance(error, InputError):
        return Failure("data", str(error).splitlines()[0])
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or any(
        text in str(error) for text in OUT_OF_MEMORY
    ):
        return Failure("oom", "the trial ran out of memory")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(type(error).__name__, f"{error} ({frame.name}, line {frame.lineno})")
