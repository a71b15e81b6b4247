"""predict.py of a bundle and the lines of its card, where there is torch and Pillow and nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import archsearch
from archsearch.cli import main
from archsearch.export.parity import FRESH
from tests.export.photographs import searched, write_digits

# Neither NumPy nor archsearch: whatever is not torch's, Pillow's or Python's own cannot be imported.
ALONE = (
    FRESH.partition("import importlib.util")[0].replace('"torch", ', '"torch", "PIL", "model", "predict", "form", ')
    + "import runpy, warnings\nwarnings.simplefilter('ignore')\nsys.path.insert(0, sys.argv.pop(1))\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/, a bundle/ of a search on them, and new/ images."""
    folder = tmp_path_factory.mktemp("alone")
    write_digits(folder / "images")
    experiment = searched(folder)
    assert main(["export", str(experiment.path), "-o", str(folder / "bundle")]) == 0
    write_digits(folder / "new", each=20, first=40)
    return folder


def alone(folder: Path, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the code in a fresh Python, in the bundle, whose files it can import."""
    command = [sys.executable, "-I", "-B", "-c", ALONE + code, str(folder / "bundle"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder / "bundle")


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return alone(folder, f"runpy.run_path({str(folder / 'bundle' / 'predict.py')!r}, run_name='__main__')", *arguments)


def test_numpy_and_archsearch_are_not_there(folder: Path) -> None:
    for name in ("numpy", "archsearch"):
        assert "is neither torch's nor Python's own" in alone(folder, f"import {name}").stderr


def test_predict_py_says_what_archsearch_predict_does(folder: Path) -> None:
    done = run(folder, folder / "new", "--json", "--top", "4")
    assert done.returncode == 0, done.stderr
    expected = archsearch.predict(folder / "bundle", folder / "new", progress=False)
    answers = json.loads(done.stdout)
    assert [each["file"] for each in answers] == list(expected.files) and len(answers) == 80
    assert [each["label"] for each in answers] == expected.labels
    for each, row in zip(answers, expected.values, strict=True):
        shares = {entry["label"]: entry["probability"] for entry in each["top"]}
        assert [shares[name] for name in expected.classes] == pytest.approx(row.tolist(), abs=1e-5)


def test_broken_files_are_named_and_the_rest_is_answered(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(tmp_path / "deep.png")
    good = folder / "new" / "one" / "002.jpg"
    done = run(folder, tmp_path / "text.png", tmp_path / "deep.png", good, tmp_path / "missing.jpg")
    assert done.returncode == 1
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [str(good)]
    assert re.search(r"one \d+\.\d%", done.stdout)
    first, second, third = done.stderr.splitlines()
    assert "text.png: not a readable image" in first and "missing.jpg" in third
    assert "deep.png: not a readable image (NumPy is needed for this kind of image: pip install numpy)" in second


def test_the_lines_of_the_card_go_from_a_file_to_its_label(folder: Path) -> None:
    card = (folder / "bundle" / "MODEL_CARD.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) <= 10
    image = folder / "new" / "zero" / "003.png"
    (folder / "bundle" / "image.jpg").write_bytes(image.read_bytes())
    try:
        done = alone(folder, lines)
    finally:
        (folder / "bundle" / "image.jpg").unlink()
    assert done.returncode == 0, done.stderr
    expected = archsearch.predict(folder / "bundle", image, progress=False)
    (label, probability), *_ = expected.top(1)[0]
    assert done.stdout.strip() == f"{label} {probability:.1%}"


def test_it_is_read_as_the_export_names_it(folder: Path) -> None:
    for name in ("huggingface/README.md", "MODEL_CARD.md"):
        there = "python predict.py" in (folder / "bundle" / name).read_text()
        assert there == ("huggingface" not in name), "the folder for the hub has no predict.py"
