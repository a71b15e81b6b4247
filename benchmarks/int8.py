"""8-bit integers by each way to take ranges, against the float network: accuracy, distance of the scores, latency.

DIR is what `archsearch train NETWORK --data NAME --output DIR` wrote. Ranges come from 256 training images; accuracy
is that on the validation split in onnxruntime. Latency: median of repeated runs with one image and one thread, float
and int8 in turns; it says nothing on a busy machine.

    python benchmarks/int8.py DIR --data NAME [--json] [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
from torch import Tensor

from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.export import formats, int8, parity
from archsearch.export.origin import of_file, validation
from archsearch.space.settings import DataSettings

BASE: dict[str, Any] = {
    "op_types_to_quantize": list(int8.OPS),
    "per_channel": True,
    "activation_type": QuantType.QUInt8,
    "weight_type": QuantType.QInt8,
    "calibrate_method": CalibrationMethod.MinMax,
}
WAYS: dict[str, dict[str, Any]] = {
    "minimum and maximum": {},
    "weights in seven bits": {"reduce_range": True},
    "a scale a tensor": {"per_channel": False},
    "signed activations": {"activation_type": QuantType.QInt8},
    "norms too": {"op_types_to_quantize": [*int8.OPS, "BatchNormalization"]},
    "entropy": {"calibrate_method": CalibrationMethod.Entropy},
    **{
        f"percentile {share}": {
            "calibrate_method": CalibrationMethod.Percentile,
            "extra_options": {"CalibPercentile": share},
        }
        for share in (99.9, 99.99, 99.999)
    },
}


def quantized(onnx: Path, output: Path, calibration: Tensor, settings: dict[str, Any]) -> None:
    """The float file in 8-bit integers by these settings of quantize_static."""
    with formats.quiet(), Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        quantize_static(onnx, output, int8.Reader(calibration), **{**BASE, **settings})


def milliseconds(files: list[Path], image: Tensor, repeats: int) -> list[float]:
    """The median latency of each file, all in turns."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]) for file in files]
    took: list[list[float]] = [[] for _ in files]
    for turn in range(repeats + repeats // 10):
        for session, times in zip(sessions, took, strict=True):
            began = time.perf_counter()
            session.run(None, {formats.IMAGES: image.numpy()})
            if turn >= repeats // 10:
                times.append(1000 * (time.perf_counter() - began))
    return [statistics.median(times) for times in took]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    images = load_images(DataSettings.model_validate({"name": asked.data}))
    origin = of_file(Architecture.from_yaml(asked.folder / "model.yaml"), asked.folder / "weights.safetensors")
    pixels, labels = validation(images)
    calibration = int8.calibration_images(images)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        onnx, output = Path(folder, "model.onnx"), Path(folder, "model.int8.onnx")
        formats.write_onnx(formats.program(origin.network), onnx)
        scores = parity.by_onnx(onnx, pixels)
        for name, settings in list(WAYS.items())[: 2 if asked.quick else None]:
            quantized(onnx, output, calibration, settings)
            others = parity.by_onnx(output, pixels)
            rows.append(
                {
                    "way": name,
                    "accuracy": (others.argmax(1) == labels).double().mean().item(),
                    "same_top1": (others.argmax(1) == scores.argmax(1)).double().mean().item(),
                    "distance": ((others - scores).square().mean().sqrt() / scores.std()).item(),
                    "bytes": output.stat().st_size,
                }
            )
        int8.quantize(onnx, output, calibration)
        float_ms, int8_ms = milliseconds([onnx, output], pixels[:1].contiguous(), 20 if asked.quick else 500)
        document = {
            "name": "int8",
            "network": origin.architecture.name,
            "data": asked.data,
            "float": {
                "accuracy": (scores.argmax(1) == labels).double().mean().item(),
                "bytes": onnx.stat().st_size,
                "deviation": scores.std().item(),
                "images": len(labels),
            },
            "milliseconds": {"float": float_ms, "int8": int8_ms},
            "rows": rows,
            "onnxruntime": onnxruntime.__version__,
        }
    if asked.json:
        print(json.dumps(document, indent=1))
        return 0
    print(f"float: {document['float']}; ms: {document['milliseconds']}")
    for row in rows:
        print(f"{row['way']:24} {row['accuracy']:.2%}  same top-1 {row['same_top1']:.2%}  {row['distance']:.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
