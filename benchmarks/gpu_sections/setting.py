"""Where a section runs, and every call of torch.cuda that the sections make, at one place to be read with torch's docs.

A GPU's half can be rehearsed on a CPU: `Rehearsal` stands for the GPU, so that the script's own lines are known to run.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

MEBI = 2**20


class Gpu:
    """The GPU of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wait(self) -> None:
        torch.cuda.synchronize(self.device)

    def memory(self) -> tuple[int, int]:
        """Bytes that are free, and all of them."""
        free, total = torch.cuda.mem_get_info(self.device)
        return int(free), int(total)

    def allocated(self) -> int:
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        """The most bytes that were allocated since `forget`."""
        return torch.cuda.max_memory_allocated(self.device)

    def reserved(self) -> int:
        return torch.cuda.memory_reserved(self.device)

    def forget(self) -> None:
        """Frees what nobody holds, the pool of captured steps too, and begins a new peak."""
        from archsearch.training.epoch.capture import forget_lanes

        gc.collect()
        forget_lanes()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)

    def limit(self, share: float) -> None:
        """Lets this process take no more than a share of the GPU's memory."""
        torch.cuda.set_per_process_memory_fraction(share, self.device)

    def replay(self, run: Callable[[], object]) -> Callable[[], object]:
        """`run`, captured; it is called once before."""
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            run()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        return graph.replay

    def stream(self) -> AbstractContextManager[Any]:
        """A stream of its own, to be entered by one thread."""
        return torch.cuda.stream(torch.cuda.Stream(self.device))

    def drain(self) -> None:
        """Waits for the calling thread's stream."""
        torch.cuda.current_stream(self.device).synchronize()

    @contextmanager
    def waiting_refused(self) -> Iterator[Callable[[bool], None]]:
        """Yields what turns on and off that an operation for which the host waits raises RuntimeError."""
        try:
            yield lambda on: torch.cuda.set_sync_debug_mode("error" if on else "default")
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def waits(self, run: Callable[[], object]) -> int:
        """How often the host waits for the GPU in `run`, as far as torch counts it."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                run()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)

    def kernels(self, run: Callable[[], object]) -> int:
        """Kernels, copies and fills on the GPU in `run`."""
        from torch.autograd import DeviceType
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            run()
            self.wait()
        return sum(event.device_type == DeviceType.CUDA for event in profiled.events())

    def assert_on_device(self) -> None:
        """An index out of bounds, which the device asserts: nothing runs in this process any more."""
        torch.zeros(4, device=self.device)[torch.tensor([10], device=self.device)].sum().item()


class Rehearsal(Gpu):
    """A CPU that stands for a GPU. Its numbers mean nothing."""

    def wait(self) -> None:
        pass

    def memory(self) -> tuple[int, int]:
        return 8 * 2**30, 16 * 2**30

    def allocated(self) -> int:
        return 0

    def peak(self) -> int:
        return 2**27

    def reserved(self) -> int:
        return 2**27

    def forget(self) -> None:
        gc.collect()

    def limit(self, share: float) -> None:
        pass

    def replay(self, run: Callable[[], object]) -> Callable[[], object]:
        return run

    def stream(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def drain(self) -> None:
        pass

    @contextmanager
    def waiting_refused(self) -> Iterator[Callable[[bool], None]]:
        yield lambda on: None

    def waits(self, run: Callable[[], object]) -> int:
        run()
        return 2

    def kernels(self, run: Callable[[], object]) -> int:
        run()
        return 100

    def assert_on_device(self) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The device; its `gpu`, None where there is none; `quick`: the least that shows that everything runs."""

    device: torch.device
    gpu: Gpu | None
    quick: bool = False

    @classmethod
    def here(cls, *, quick: bool = False, rehearse: bool = False) -> Setting:
        from archsearch.training.devices import resolve_device

        if not torch.cuda.is_available() or rehearse:
            torch.set_num_threads(1)
        if rehearse:
            return cls(device=torch.device("cpu"), gpu=Rehearsal(torch.device("cpu")), quick=quick)
        device = resolve_device("auto")
        return cls(device=device, gpu=Gpu(device) if device.type == "cuda" else None, quick=quick)

    @property
    def rehearsed(self) -> bool:
        return isinstance(self.gpu, Rehearsal)

    def named(self) -> dict[str, Any]:
        """What the figures are of."""
        from archsearch.training.devices import device_name, gpus_problem

        named: dict[str, Any] = {"kind": self.device.type, "name": device_name(self.device), "cuda": torch.version.cuda}
        if problem := gpus_problem():
            named["problem"] = problem
        if self.device.type == "cuda":
            named["capability"] = torch.cuda.get_device_capability(self.device)
            named["cudnn"] = torch.backends.cudnn.version()
            named["bytes"] = torch.cuda.mem_get_info(self.device)[1]
        return named

    def wait(self) -> None:
        if self.gpu is not None:
            self.gpu.wait()

    def seconds(self, run: Callable[[], object]) -> float:
        """Seconds of the wall that `run` takes, the GPU's work included."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start


NO_GPU = "no GPU here"
