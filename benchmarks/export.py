"""Every network of the zoo as model.py, ONNX and torch.export's program, each against the module that it came from.

Weights are drawn (see archsearch/export/fresh.py); compared are 4 random images, cut to 64x64 where the network's
are larger. model.py runs in a fresh interpreter that can import torch alone, ONNX in onnxruntime, the program as
loaded from its file. Claim: no score differs by 1e-4 or more, and the first class is the same. `--quick` takes three
small networks. It takes an hour: with `--rows` each figure is kept as it comes, and a later run goes on from there.

    python benchmarks/export.py [--json] [--quick] [--only NAME]... [--table FILE.md] [--rows FILE.jsonl]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from archsearch import zoo
from archsearch.architecture.spec import Architecture
from archsearch.export import formats, parity
from archsearch.export.fresh import fresh
from archsearch.export.source import source
from archsearch.reading.errors import InputError
from archsearch.training.checkpoint import weights_to_bytes

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine

QUICK = ("resnet20_cifar", "densenet40_12_cifar", "highway10_16_mnist")
LARGEST, IMAGES = 64, 4
PACKAGES = ("archsearch", "torch", "onnx", "onnxscript", "onnxruntime")
FORMATS: tuple[formats.Format, ...] = ("python", "onnx", "torch-export")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", help="this network, and others so named")
    parser.add_argument("--table", type=Path, help="the figures as a page")
    parser.add_argument("--rows", type=Path, help="where figures are kept; those that are there are not taken again")
    asked = parser.parse_args()
    names = asked.only or (QUICK if asked.quick else zoo.names())
    known = before(asked.rows)
    rows: list[dict[str, Any]] = []
    for name in names:
        rows.append(known.get(name) or compared(name))
        print(f"{len(rows)} of {len(names)}: {json.dumps(rows[-1])}", file=sys.stderr, flush=True)
        if asked.rows and name not in known:
            with asked.rows.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        if asked.table:
            asked.table.write_text(page(document(rows, len(names))))
    made = document(rows, len(names))
    print(json.dumps(made, indent=2) if asked.json else page(made))
    return 0


def before(file: Path | None) -> dict[str, dict[str, Any]]:
    """The figures of an earlier run that were as they should be."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    return {row["network"]: row for row in map(json.loads, lines) if row["kept"]}


def compared(name: str) -> dict[str, Any]:
    """One network: the largest difference by format, or what went wrong."""
    network = cut(zoo.get(name))
    row: dict[str, Any] = {"network": name, "image": "x".join(map(str, network.input))}
    began = time.perf_counter()
    module = fresh(network)
    trial = parity.trial_of(module, [parity.random_images(network.input, IMAGES, seed=2)], "random")
    row["params"] = sum(parameter.numel() for parameter in module.parameters())
    row["largest score"] = float(f"{trial.scores.abs().max().item():.3g}")
    with tempfile.TemporaryDirectory() as place:
        files = {form: Path(place, end) for form, end in zip(FORMATS, ("m.py", "m.onnx", "m.pt2"), strict=True)}
        weights, text = Path(place, "weights.safetensors"), source(network)
        weights.write_bytes(weights_to_bytes(module.state_dict()))
        files["python"].write_text(text)
        row["lines"] = len(text.splitlines())
        exported = formats.program(module)
        formats.write_program(exported, files["torch-export"])
        formats.write_onnx(exported, files["onnx"])
        for form, file in files.items():
            try:
                found = trial.compare(form, file, weights)
                row[form] = float(f"{found.difference:.2g}")
                row["kept"] = row.get("kept", True) and found.kept
            except parity.ParityLost as error:
                row[form], row["kept"] = str(error), False
    return {**row, "seconds": round(time.perf_counter() - began, 1)}


def cut(network: Architecture) -> Architecture:
    """With images of 64x64 at most, where the network takes such."""
    channels, height, width = network.input
    small = network.model_copy(update={"input": (channels, min(height, LARGEST), min(width, LARGEST))})
    try:
        source(small)
    except InputError:
        return network
    return small


def document(rows: list[dict[str, Any]], planned: int) -> dict[str, Any]:
    kept = sum(row["kept"] for row in rows)
    largest = {form: max((row[form] for row in rows if isinstance(row[form], float)), default=0.0) for form in FORMATS}
    return {
        "name": "export",
        "figures": {"kept": kept, "of": planned, "largest difference": largest, "networks": rows},
        "target": f"every network in every format: below {parity.TOLERANCE:g}, the same first class",
        "met": kept == planned,
        "machine": machine(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "n": IMAGES,
    }


def page(made: dict[str, Any]) -> str:
    figures = made["figures"]
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    head = ("network", "image", "params", "lines of model.py", "largest score", *FORMATS, "kept")
    lines = [
        "# Exporting the zoo",
        "",
        f"`python benchmarks/export.py`, {time.strftime('%Y-%m-%d')}, {made['machine']}; {versions}. "
        f"{torch.get_num_threads()} threads.",
        "",
        f"Largest difference of any score from the module's, over {made['n']} random images; all weights drawn. "
        "model.py in a fresh interpreter with torch alone, ONNX in onnxruntime, the program as loaded from "
        "model.pt2. Target: "
        f"{made['target']}: {figures['kept']} of {figures['of']}.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
    ]
    for row in figures["networks"]:
        cells = (row["network"], row["image"], f"{row['params']:,}", row["lines"], row["largest score"])
        found = (f"{row[form]:.2g}" if isinstance(row[form], float) else row[form] for form in FORMATS)
        lines.append(f"| {' | '.join(map(str, (*cells, *found, 'yes' if row['kept'] else '**no**')))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
