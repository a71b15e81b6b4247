"""What was written, run as its reader will run it, against the network that it was written from.

model.py runs in a fresh interpreter that can import torch, what torch needs and the standard library, and nothing else;
ONNX in onnxruntime; torch.export's program as loaded from its file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archsearch.export.formats import IMAGES, Format
from archsearch.space.tasks import TaskName

TOLERANCE = 1e-4
USUAL = 10.0  # scores of classes are no larger as a rule: float32 rounds those of thousands by more than the tolerance
SECONDS = 600.0  # for a fresh interpreter, after which something is wrong
AT_ONCE = 64


class ParityLost(RuntimeError):
    """What was written does not compute what the network does."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a format is from the original over `images` images: the largest difference of any score, and how many
    images have another first class. `of` says what the images are. Where the `largest` score is above 10, the
    difference is as much smaller. The numbers of a regression have no first class, and their difference is a share of
    the largest one, where that is above 1."""

    format: Format
    difference: float
    largest: float
    images: int
    other_top1: int
    of: str

    @property
    def kept(self) -> bool:
        """Below 1e-4, and the same class first for every image. NaN is not."""
        return self.difference < TOLERANCE and not self.other_top1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "tolerance": TOLERANCE, "kept": self.kept}

    def __str__(self) -> str:
        top1 = "identical" if not self.other_top1 else f"different for {self.other_top1}"
        return f"{self.format}: max difference {self.difference:.2g}, top-1 {top1} on {self.images} images ({self.of})"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Images as float32 (N, C, H, W), normalised, and what the original says of them (N, classes); their labels as a
    Split of the `task` has them, None for random images."""

    images: Tensor
    scores: Tensor
    of: str
    labels: Tensor | None = None
    task: TaskName = "single_label"

    @property
    def right(self) -> int | None:
        """How many images the original classifies correctly; None without labels, and where they are no classes."""
        if self.labels is None or self.task != "single_label":
            return None
        return int((self.scores.argmax(1) == self.labels).sum())

    def compare(self, form: Format, file: Path, weights: Path | None = None) -> Parity:
        """How far the file is from the original; `weights` are model.py's. Raises ParityLost where it cannot run."""
        match form:
            case "python":
                assert weights is not None, "model.py has its weights in another file"
                scores = by_python(file, weights, self.images)
            case "onnx":
                scores = by_onnx(file, self.images)
            case "torch-export":
                scores = scores_of(torch.export.load(file).module(), self.images)
        if scores.shape != self.scores.shape:
            raise ParityLost(f"{file.name} gives {tuple(scores.shape)}, not {tuple(self.scores.shape)}")
        difference, largest = (scores - self.scores).abs().max().item(), self.scores.abs().max().item()
        regression = self.task == "regression"
        return Parity(
            format=form,
            difference=difference / max(1.0, largest if regression else largest / USUAL),
            largest=largest,
            images=len(self.images),
            other_top1=0 if regression else int((scores.argmax(1) != self.scores.argmax(1)).sum()),
            of=self.of,
        )


def trial_of(
    network: nn.Module,
    batches: Iterable[Tensor],
    of: str,
    labels: Tensor | None = None,
    task: TaskName = "single_label",
) -> Trial:
    """Of all images of these batches; the network in eval mode, on the CPU, in float32."""
    images = torch.cat([batch.float().contiguous() for batch in batches])
    return Trial(images=images, scores=scores_of(network.eval(), images), of=of, labels=labels, task=task)


def random_images(shape: tuple[int, int, int], count: int, seed: int = 0) -> Tensor:
    """Standard normal, for networks that know no data."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def scores_of(module: nn.Module, images: Tensor) -> Tensor:
    """(N, classes), some images at once; the last batch is smaller, so that the batch axis is seen to be free."""
    with torch.no_grad():
        return torch.cat([module(part) for part in parts(images)])


def by_onnx(file: Path, images: Tensor) -> Tensor:
    """In onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    batches = [session.run(None, {IMAGES: part.numpy()})[0] for part in parts(images)]
    return torch.from_numpy(np.concatenate(batches))


# -I: neither the current folder nor PYTHONPATH; the finder then refuses whatever is neither torch's nor Python's own.
FRESH = """
import sys
ALLOWED = {*sys.stdlib_module_names, "__mp_main__", "torch", "torchgen", "functorch", "typing_extensions", "sympy",
           "mpmath", "networkx", "jinja2", "markupsafe", "fsspec", "filelock", "triton", "nvidia", "cuda", "setuptools"}
class TorchAlone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"{name} is neither torch's nor Python's own", name=name)
sys.meta_path.insert(0, TorchAlone())
import importlib.util, json, warnings
warnings.simplefilter("ignore")
import torch
model, weights, images, scores, shape, threads, at_once = sys.argv[1:]
torch.set_num_threads(int(threads))
spec = importlib.util.spec_from_file_location("model", model)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
network = module.load(weights)
with open(images, "rb") as file:
    read = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(json.loads(shape))
with torch.no_grad(), open(scores, "wb") as file:
    for part in read.split(int(at_once)):
        numbers = network(part).contiguous().flatten()
        file.write(bytes(numbers.view(torch.uint8).tolist()))
"""


def by_python(model: Path, weights: Path, images: Tensor) -> Tensor:
    """model.py with its weights, in a fresh interpreter with torch alone. Raises ParityLost where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        images_file, scores_file = Path(folder, "images"), Path(folder, "scores")
        images_file.write_bytes(images.contiguous().numpy().tobytes())
        arguments = [model, weights, images_file, scores_file, list(images.shape), torch.get_num_threads(), AT_ONCE]
        command = [sys.executable, "-I", "-B", "-c", FRESH, *map(str, arguments)]
        try:
            process = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=folder)
        except subprocess.TimeoutExpired as error:
            raise ParityLost(f"{model.name} did not end within {SECONDS:.0f} s") from error
        if process.returncode:
            last = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise ParityLost(f"{model.name} fails in a Python that has torch alone: {last:.200}")
        numbers = np.frombuffer(scores_file.read_bytes(), np.float32)
    return torch.from_numpy(numbers.reshape(len(images), -1).copy())


def parts(images: Tensor, at_once: int = AT_ONCE) -> Iterator[Tensor]:
    """The images in batches of `at_once`; the last may be smaller."""
    yield from torch.split(images, at_once)
