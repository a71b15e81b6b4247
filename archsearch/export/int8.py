"""A network in 8-bit integers: ONNX with QuantizeLinear and DequantizeLinear (QDQ), written by onnxruntime.

The weights of convolutions and linear layers are int8 with a scale for each output channel, in seven bits, with which
16-bit sums of products do not overflow on processors without VNNI: the accuracy measured here holds there too.
Activations are uint8, each tensor's range taken from training images. Norms are folded into the convolution before
them, as in the float ONNX; those that have none before them (preactivation, dense and dual-path blocks) stay float.
Concatenated tensors are not quantised again as one: the norm behind them, which stays float, would enlarge the rounding
errors of channels with small values (DenseNet-100 with initial weights: 54 % of the scores' deviation, 9 % without).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsearch.data.images import ImageSet
from archsearch.export.formats import IMAGES, quiet
from archsearch.export.parity import ParityLost, Trial, by_onnx, parts
from archsearch.reading.errors import refuse
from archsearch.training.feeds.augmentation import Normaliser
from archsearch.training.feeds.pixels import as_pixels

NAME = "model.int8.onnx"
CALIBRATED_ON = 256  # training images: four times as many change nothing (LOG.md)
AT_ONCE = 16  # images whose activations are in memory together
OPS = (
    "Conv", "Gemm", "MatMul", "Add", "Mul", "Relu", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool",
    "Slice", "Pad", "Reshape", "Flatten", "Unsqueeze", "Clip",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Int8:
    """The 8-bit file against the float network on the validation images (`of`): how many each gets right, how many have
    the same first class in both; bytes of both ONNX files; how many training images calibrated it."""

    images: int
    of: str
    right: int
    float_right: int
    same_top1: int
    bytes: int
    float_bytes: int
    calibrated_on: int

    @property
    def loss(self) -> float:
        """Points of accuracy that 8 bits lose; negative where they gain."""
        return 100 * (self.float_right - self.right) / self.images

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        accuracies = {"accuracy": self.right / self.images, "float_accuracy": self.float_right / self.images}
        return {**asdict(self), **accuracies, "loss_points": self.loss, "ranges": "minimum and maximum"}

    def __str__(self) -> str:
        right, float_right = (f"{100 * count / self.images:.2f} %" for count in (self.right, self.float_right))
        return (
            f"int8: {right} accuracy, float {float_right}; "
            f"same top-1 for {self.same_top1} of {self.images} images ({self.of}); {_kilobytes(self.bytes)}, float "
            f"{_kilobytes(self.float_bytes)}; calibrated on {self.calibrated_on} training images"
        )


def write_int8(onnx: Path, output: Path, images: ImageSet, trial: Trial, *, max_loss: float) -> Int8:
    """Writes the float ONNX file `onnx` in 8-bit integers and measures it on the trial, whose images have labels.

    Raises InputError for images without one class each, and ParityLost where it loses more than `max_loss` points of
    accuracy.
    """
    if trial.right is None or trial.labels is None:
        allowed = "a network whose images have one class each"
        raise refuse(
            f"8-bit integers are judged by accuracy, which {trial.task} has not", allowed=allowed, file="--int8"
        )
    calibration = calibration_images(images)
    quantize(onnx, output, calibration)
    top1 = by_onnx(output, trial.images).argmax(1)
    result = Int8(
        images=len(trial.images),
        of=trial.of,
        right=int((top1 == trial.labels).sum()),
        float_right=trial.right,
        same_top1=int((top1 == trial.scores.argmax(1)).sum()),
        bytes=output.stat().st_size,
        float_bytes=onnx.stat().st_size,
        calibrated_on=len(calibration),
    )
    if not result.loss <= max_loss:  # NaN is no limit
        raise ParityLost(
            f"8-bit integers lose {result.loss:.2f} points of accuracy ({result}); allowed: at most {max_loss:g} "
            "(--max-loss). Nothing was written"
        )
    return result


def calibration_images(images: ImageSet, count: int = CALIBRATED_ON) -> Tensor:
    """(N, C, H, W): training images, drawn once for all, as the network reads them without augmentation."""
    drawn = np.sort(np.random.default_rng(0).permutation(len(images.train))[:count])
    device = torch.device("cpu")
    normalise = Normaliser(images.mean, images.std, device, images.white)
    return normalise(as_pixels(images.train.images[drawn], device)).contiguous()


def quantize(onnx: Path, output: Path, calibration: Tensor) -> None:
    """The float ONNX file as one in 8-bit integers; ranges are the least and greatest values on `calibration`."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with quiet():
        quantize_static(
            onnx,
            output,
            Reader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPS),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


class Reader:
    """Calibration images as onnxruntime's CalibrationDataReader takes them: `get_next` until None."""

    def __init__(self, images: Tensor) -> None:
        self._batches: Iterator[Tensor] = iter(parts(images, AT_ONCE))

    def get_next(self) -> dict[str, Any] | None:
        """The next images by the input's name; None behind the last."""
        batch = next(self._batches, None)
        return None if batch is None else {IMAGES: batch.numpy()}


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.0f} kB"
