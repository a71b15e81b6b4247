"""predict.py of a bundle: from image files to labels with torch and Pillow alone; and the card's lines that do it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsearch.data import form

PREDICT, FORM = "predict.py", "form.py"
FILES = {
    PREDICT: "`python predict.py IMAGE...` prints labels and probabilities; needs torch and Pillow alone",
    FORM: "how an image file is read, the code that training ran",
}
NUMPY = "import numpy as np\n"
WITHOUT_NUMPY = '''\
try:
    import numpy as np
except ModuleNotFoundError:

    class _Absent:
        """Stands for NumPy, which .npy files and pictures of more than 8 bits need."""

        ndarray = ()  # of which nothing is an instance

        def __getattr__(self, name: str) -> object:
            raise ValueError("NumPy is needed for this kind of image: pip install numpy")

    np = _Absent()
'''
SOURCE = '''\
"""Labels and probabilities for image files, by the network of this folder. It needs torch and Pillow alone.

    python predict.py IMAGE|FOLDER... [--top K] [--device cuda] [--json]

In Python: `predict(["a.jpg"])`, or `images(["a.jpg"])` for what the network of model.py takes.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from form import ImageForm, fitted, opened, suffixes
from model import load
from PIL import Image
from torch import Tensor

HERE = Path(__file__).parent
KNOWN = json.loads((HERE / "preprocessing.json").read_text())
IMAGE_FORM = ImageForm(**KNOWN["form"])
UNREADABLE = (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError)
AT_ONCE = max(1, min(64, 2**25 // (IMAGE_FORM.channels * IMAGE_FORM.height * IMAGE_FORM.width)))  # images


def image(file: str | Path) -> Tensor:
    """The network's input for an image file: (channels, height, width), read as in training, normalised."""
    with Path(file).open("rb") as content:
        planes = [fitted(plane, IMAGE_FORM) for plane in opened(content, IMAGE_FORM)]
    bands = []
    for plane in planes:
        kind = torch.float32 if plane.mode == "F" else torch.uint8
        values = torch.frombuffer(bytearray(plane.tobytes()), dtype=kind)
        bands.append(values.view(plane.height, plane.width, -1).permute(2, 0, 1))
    mean, std = (torch.tensor(KNOWN[name]).view(-1, 1, 1) * IMAGE_FORM.white for name in ("mean", "std"))
    return (torch.cat(bands).float().round() - mean) / std


def images(files: list) -> Tensor:
    """The network's input for image files: (N, channels, height, width). Raises what Pillow raises for a broken one."""
    with ThreadPoolExecutor() as pool:
        return torch.stack(list(pool.map(image, files)))


def probabilities(scores: Tensor) -> Tensor:
    """Scores (N, K) of the network as calibrated probabilities; of a regression the numbers themselves."""
    if KNOWN["task"] == "regression":
        return scores
    scores = scores / (KNOWN["calibration"] or {"temperature": 1.0})["temperature"]
    return scores.sigmoid() if KNOWN["task"] == "multi_label" else scores.softmax(1)


@torch.inference_mode()
def predict(files: list, top: int = 3, device: str = "cpu") -> list:
    """A dictionary for each file: "label" ("labels", "values") and the `top` most probable, or "error"."""
    network, labels = load(HERE / "weights.safetensors").to(device), KNOWN["labels"]
    answers = []

    def attempt(file: str) -> Tensor | str:
        try:
            return image(file)
        except UNREADABLE as error:
            return f"not a readable image ({error})"

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), AT_ONCE):
            part = files[start : start + AT_ONCE]
            inputs = list(pool.map(attempt, part))
            readable = [each for each in inputs if isinstance(each, Tensor)]
            rows = iter(probabilities(network(torch.stack(readable).to(device)).float().cpu()) if readable else [])
            for file, each in zip(part, inputs):
                known = {"error": each} if isinstance(each, str) else answer(next(rows), labels, top)
                answers.append({"file": str(file), **known})
    return answers


def answer(row: Tensor, labels: list, top: int) -> dict:
    """What one image's probabilities say."""
    if KNOWN["task"] == "regression":
        return {"values": dict(zip(labels, row.tolist()))}
    order = row.argsort(descending=True, stable=True).tolist()
    ranked = [{"label": labels[index], "probability": float(row[index])} for index in order[:top]]
    if KNOWN["task"] == "multi_label":
        return {"labels": [labels[i] for i in order if row[i] >= KNOWN["thresholds"][i]], "top": ranked}
    return {"label": ranked[0]["label"], "top": ranked}


def main() -> int:
    """Prints a line for each file; 1 where one could not be read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="most probable classes to print")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    files = []
    for path in map(Path, arguments.images):
        below = sorted(each for each in path.rglob("*") if each.suffix.lower() in {*suffixes(), ".npy"})
        files += below if path.is_dir() else [path]
    answers = predict(files, arguments.top, arguments.device)
    if arguments.json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    for each in answers:
        if "error" in each:
            print(f"{each['file']}: {each['error']}", file=sys.stderr)
        elif not arguments.json:
            shown = [f"{name} {value:.6g}" for name, value in each.get("values", {}).items()]
            shown += [f"{entry['label']} {entry['probability']:.1%}" for entry in each.get("top", [])]
            print(each["file"], *([", ".join(each["labels"]) or "none"] if "labels" in each else []), *shown, sep="\\t")
    return int(any("error" in each for each in answers))


if __name__ == "__main__":
    sys.exit(main())
'''


def write_alone(folder: Path) -> None:
    """Writes predict.py into a bundle, and form.py, which reads image files."""
    text = inspect.getsource(form)
    assert text.count(NUMPY) == 1, "one import of NumPy"
    (folder / FORM).write_text(text.replace(NUMPY, WITHOUT_NUMPY))
    (folder / PREDICT).write_text(SOURCE)


def ten_lines(known: Mapping[str, Any]) -> list[str]:
    """From an image file to its label in Python, for the card of a bundle with this preprocessing."""
    temperature = "" if known["calibration"] is None else ' / known["calibration"]["temperature"]'
    lines = ["import json", "", "import torch", "from model import load", "from predict import images", ""]
    lines += ['known = json.load(open("preprocessing.json"))', 'network = load("weights.safetensors")']
    lines += ["with torch.inference_mode():", '    scores = network(images(["image.jpg"]))[0]']
    match known["task"]:
        case "regression":
            lines += ['print(dict(zip(known["labels"], scores.tolist())))']
        case "multi_label":
            lines += [f"shares = torch.sigmoid(scores{temperature}).tolist()"]
            lines += ['print([x for x, p, t in zip(known["labels"], shares, known["thresholds"]) if p >= t])']
        case _:
            lines += [f"shares = torch.softmax(scores{temperature}, 0)"]
            lines += ['print(known["labels"][int(shares.argmax())], f"{float(shares.max()):.1%}")']
    return lines
