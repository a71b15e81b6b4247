"""What lanes do with GPUs: their device, GPUs that cannot be used, GPUs that fall off. No GPU, and no Ray."""

from typing import Any

import pytest
import torch

from archsearch.data.datasets import load_images
from archsearch.search.running import prestart
from archsearch.search.running.executor import Lane
from archsearch.search.running.worker import failure_of
from archsearch.space.settings import ResourceSettings
from tests.search.local import tiny

# ---- the device of a lane


def lane_of(space, device: str) -> Lane:
    lane = object.__new__(Lane)
    lane.setup({}, load_images(space.data), space, threads=1, device=device, seconds=0.0, lanes=1)
    return lane


def test_a_lane_without_a_share_trains_on_the_cpu_though_torch_sees_a_gpu(tmp_path, monkeypatch) -> None:
    space, _ = tiny(tmp_path, "resources.gpus_per_trial=0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert space.training.device == "auto"
    assert lane_of(space, space.resources.device)._worker._settings.device == "cpu"


def test_workers_that_warm_up_live_on_until_lanes_begin_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without max_calls=0 Ray ends the process of a task that has a share of a GPU."""
    options: list[dict[str, Any]] = []

    class Task:
        def __call__(self, function: Any) -> "Task":
            return self

        def remote(self) -> None:
            pass

    monkeypatch.setattr(prestart.ray, "remote", lambda **given: options.append(given) or Task())
    prestart.warm_up(ResourceSettings(cpus_per_trial=2, gpus_per_trial=0.25), lanes=3)
    assert options == [{"num_cpus": 2, "num_gpus": 0.25, "max_retries": 0, "max_calls": 0}]


# ---- what a GPU says


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "RuntimeError"),  # torch has an exception of its own for it
        ("CUDA error: out of memory", "oom"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "oom"),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", "oom"),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "oom"),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", "oom"),
        ("GET was unable to find an engine to execute this computation", "oom"),
        ("FIND was unable to find an engine to execute this computation", "oom"),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", "oom"),
        ("std::bad_alloc", "oom"),
        ("could not create a primitive", "oom"),
        ("CUDA error: an illegal memory access was encountered", "RuntimeError"),
        ("CUDA error: device-side assert triggered", "RuntimeError"),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", "RuntimeError"),
        ("cuDNN error: CUDNN_STATUS_BAD_PARAM", "RuntimeError"),
        ("Expected all tensors to be on the same device", "RuntimeError"),
    ],
)
def test_the_words_of_running_out_of_memory(text: str, kind: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        assert failure_of(error).kind == kind
    try:
        raise torch.cuda.OutOfMemoryError(text)
    except RuntimeError as error:
        assert failure_of(error).kind == "oom"
