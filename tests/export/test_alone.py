"""predict.py of a bundle and the lines of its card, where there is torch and Pillow and nothing else."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

import archsearch
from archsearch.cli import main
from archsearch.data.form import ImageForm, normalised, read
from archsearch.export.alone import write_alone
from archsearch.export.parity import FRESH
from tests.export.photographs import searched, write_digits
from tests.export.test_predict import rewritten

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
    rewritten(folder / "bundle", calibration={"temperature": 2.5})
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


FORMS = {
    "grey": ImageForm(channels=1, height=9, width=14),
    "padded": ImageForm(channels=3, height=12, width=10, fit="pad"),
    "squashed": ImageForm(channels=4, height=8, width=8, fit="squash"),
    "deep": ImageForm(channels=1, height=10, width=10, bits=16),
    "deep colours": ImageForm(channels=3, height=10, width=12, bits=16),
    "stack": ImageForm(channels=5, height=10, width=12, pages=True),
    "deep stack": ImageForm(channels=2, height=7, width=9, bits=16, pages=True, range=(0.0, 3000.0)),
}
EACH = """
import importlib, json, sys
answers = []
for folder, file in zip(sys.argv[1::2], sys.argv[2::2]):
    sys.path.insert(0, folder)
    for name in ("form", "model", "predict"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    answers.append(importlib.import_module("predict").image(file).tolist())
    sys.path.pop(0)
print(json.dumps(answers))
"""


def picture(folder: Path, form: ImageForm) -> Path:
    """Real pixels in a file that has what the form needs: a photograph of a flower, its channels as pages."""
    flower = load_sample_image("flower.jpg")[100:180, 200:310]
    if not form.pages:
        file = folder / "flower.png"
        if form.bits == 16 and form.channels == 1:
            Image.fromarray(flower[:, :, 1].astype(np.uint16) * 200).save(file)
        else:
            Image.fromarray(flower).save(file)
        return file
    planes = [np.roll(flower[:, :, number % 3], number, 1) for number in range(form.channels)]
    pages = [Image.fromarray(plane.astype(np.uint16) * 11 if form.bits == 16 else plane) for plane in planes]
    pages[0].save(folder / "flower.tif", save_all=True, append_images=pages[1:])
    return folder / "flower.tif"


def test_every_form_is_read_as_in_training(tmp_path: Path) -> None:
    arguments, expected = [], []
    for name, form in FORMS.items():
        folder = tmp_path / name
        folder.mkdir()
        mean, std = [0.1 * number for number in range(form.channels)], [0.2 + 0.1 * x for x in range(form.channels)]
        known = {"form": dataclasses.asdict(form), "mean": mean, "std": std, "task": "single_label"}
        (folder / "preprocessing.json").write_text(json.dumps(known))
        (folder / "model.py").write_text("load = None\n")
        write_alone(folder)
        file = picture(folder, form)
        arguments += [str(folder), str(file)]
        expected.append(normalised(read(file.read_bytes(), form), form, mean, std))
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", EACH, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, answer, pixels in zip(FORMS, json.loads(done.stdout), expected, strict=True):
        assert np.abs(np.array(answer) - pixels).max() < 1e-5, name
        assert pixels.std() > 0.1, "there is something to be seen"
