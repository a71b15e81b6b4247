"""Scores of many images: read by threads while the network, in torch or onnxruntime, works on those before."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from archsearch.data.decoding import decode
from archsearch.data.unlabelled import Images
from archsearch.experiment.machine import cores
from archsearch.export import int8
from archsearch.export.formats import IMAGES
from archsearch.export.preprocessed import Preprocessing
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.training.devices import resolve_device

Backend = Literal["torch", "onnx", "int8"]
Pixels = npt.NDArray[Any]
Scores = npt.NDArray[np.float32]

ONNX_FILES = {"onnx": "model.onnx", "int8": int8.NAME}
AT_ONCE = 64  # images, at most
LARGEST_BATCH = 2**25  # values of a batch, unless a single image has more
NOT_FINITE = "the network's scores for it are not finite"
AHEAD = 4  # batches that are read, at most, before the network takes them


class Scorer(Protocol):
    """A network with its preprocessing: pixels (N, C, H, W) of the form -> scores (N, K)."""

    def __call__(self, pixels: Pixels) -> Scores:
        """The scores."""


class TorchScorer:
    """The network in torch, on a device, in float32."""

    def __init__(self, network: nn.Module, read: Preprocessing, device: torch.device) -> None:
        white = read.form.white
        self._device = device
        self._network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._shift = torch.tensor(read.mean, device=device).mul_(white).view(-1, 1, 1)
        self._scale = torch.tensor(read.std, device=device).mul_(white).reciprocal_().view(-1, 1, 1)

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Scores:
        """The scores, from pixels in the host's memory."""
        images = torch.from_numpy(pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32))
        images = images.to(self._device, non_blocking=True).float().sub_(self._shift).mul_(self._scale)
        scores: Scores = self._network(images.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()
        return scores


class OnnxScorer:
    """An ONNX file in onnxruntime: on a GPU where that has a provider for it and `device` is not the CPU."""

    def __init__(self, content: bytes, read: Preprocessing, device: str) -> None:
        """Raises InputError where onnxruntime is not installed, or has no GPU that was asked for."""
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            hint = 'pip install "archsearch[export]"'
            raise refuse("onnxruntime is not installed", hint=hint, file="--backend onnx") from error
        gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        if device.startswith("cuda") and not gpu:
            raise refuse(
                "this onnxruntime has no provider for CUDA",
                allowed="auto, cpu",
                hint="--backend torch",
                file="--device",
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers = ["CUDAExecutionProvider"] * (gpu and device != "cpu") + ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(content, options, providers=providers)
        white = np.float32(read.form.white)
        self._shift = np.array(read.mean, np.float32)[:, None, None] * white
        self._scale = 1 / (np.array(read.std, np.float32)[:, None, None] * white)

    def __call__(self, pixels: Pixels) -> Scores:
        """The scores."""
        images = (pixels.astype(np.float32) - self._shift) * self._scale
        scores: Scores = self._session.run(None, {IMAGES: images})[0]
        return scores


def checked_backend(backend: str) -> Backend:
    """The name of a backend. Raises InputError for another."""
    for name in get_args(Backend):
        if backend == name:
            return backend  # type: ignore[return-value]
    allowed = get_args(Backend)
    raise refuse(
        f"the backend {backend!r:.40}",
        allowed=", ".join(allowed),
        hint=did_you_mean(backend, allowed),
        file="--backend",
    )


def checked_device(device: str) -> torch.device:
    """The device of this name (auto, cpu, cuda, cuda:1). Raises InputError for one that is not there."""
    allowed = f"auto, cpu{', cuda' if torch.cuda.is_available() else ''}"
    try:
        return torch.empty(0, device=resolve_device(device)).device
    except (RuntimeError, InputError) as error:
        raise refuse(f"the device {device!r:.40} is not available here", allowed=allowed, file="--device") from error


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores (N, K) of N images in their order, NaN for those that cannot be read, whose `problems` are by index."""

    scores: Scores
    problems: dict[int, Problem]


def scored(
    images: Images, read: Preprocessing, scorer: Scorer, on_progress: Callable[[int], None] = lambda _: None
) -> Scored:
    """The scores of all images. `on_progress` is told how many are through, after each batch."""
    scores = np.full((len(images), len(read.labels)), np.nan, np.float32)
    problems: dict[int, Problem] = {}
    for start, pixels, broken in _batches(images, read):
        problems |= broken
        readable = [index for index in range(start, start + len(pixels)) if index not in broken]
        if readable:
            scores[readable] = scorer(pixels[[index - start for index in readable]] if broken else pixels)
            for index in (number for number in readable if not np.isfinite(scores[number]).all()):
                scores[index], problems[index] = np.nan, Problem(message=NOT_FINITE, file=images.name(index))
        on_progress(start + len(pixels))
    return Scored(scores=scores, problems=problems)


def _batches(images: Images, read: Preprocessing) -> Iterator[tuple[int, Pixels, dict[int, Problem]]]:
    """The number of the first image of each batch, its pixels (N, C, H, W), and what is wrong with those that cannot be
    read, whose pixels are undefined."""

    def put(number: int, row: Pixels) -> Problem | None:
        try:
            row[...] = decode(images.read(number), read.form, images.name(number))
        except InputError as error:
            return error.problems[0]
        return None

    with ThreadPoolExecutor(cores()) as pool:
        pending: deque[tuple[int, Pixels, list[Future[Problem | None]]]] = deque()
        at_once = max(1, min(AT_ONCE, LARGEST_BATCH // math.prod(read.form.shape)))
        starts = iter(range(0, len(images), at_once))
        try:
            while True:
                while len(pending) < AHEAD and (start := next(starts, None)) is not None:
                    count = min(at_once, len(images) - start)
                    pixels = np.empty((count, *read.form.shape), read.form.dtype)
                    pending.append((start, pixels, [pool.submit(put, start + i, pixels[i]) for i in range(count)]))
                if not pending:
                    return
                start, pixels, results = pending.popleft()
                problems = {start + i: result.result() for i, result in enumerate(results)}
                yield start, pixels, {number: problem for number, problem in problems.items() if problem is not None}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
