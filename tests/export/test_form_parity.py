"""A bundle reads an image file as the training did: the same tensor, by its own files, with torch and Pillow alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.data.streaming import StreamedImages
from archsearch.export.alone import write_alone
from archsearch.export.card import preprocessing
from archsearch.export.origin import Origin, of_file
from archsearch.network.build import build
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.feeds.stream_feed import StreamFeed
from archsearch.zoo import get
from tests.data.wide_files import wide_png, wide_tiff

DIGITS, LABELS = load_digits(return_X_y=True)
READ = """
import json, os, sys, types
sys.path.insert(0, "")  # the current folder
sys.modules["archsearch"] = sys.modules["torchvision"] = None
import numpy, torch
for folder, files in json.loads(sys.argv[1]).items():
    os.chdir(folder)
    for name in ("predict", "form"):
        sys.modules.pop(name, None)
    sys.path_importer_cache.clear()
    sys.modules["model"] = types.ModuleType("model")
    sys.modules["model"].load = None
    import predict, form
    assert os.path.dirname(os.path.abspath(predict.__file__)) == os.path.abspath(form.__file__)[:-8] == os.getcwd()
    torch.save(predict.images(files), "read.pt")
    mean, std = predict.KNOWN["mean"], predict.KNOWN["std"]
    by_numpy = [form.normalised(form.read(open(file, "rb"), predict.IMAGE_FORM), predict.IMAGE_FORM, mean, std)
                for file in files]
    numpy.save("read.npy", numpy.stack(by_numpy))
"""
FORMS = {
    "RGB": {"size": 16},
    "grey": {"size": 16, "channels": 1},
    "RGBA": {"size": 16, "channels": 4},
    "rectangle": {"size": [12, 24]},
    "pad": {"size": [24, 12], "fit": "pad"},
    "a crop ratio": {"size": [16, 12], "crop_ratio": 0.8},
    "squash": {"size": 12, "fit": "squash"},
    "16 bits": {"size": [12, 20], "channels": 1, "bits": 16},
    "16 bits in colour": {"size": 12, "bits": 16, "fit": "pad"},
    "colours of 16 bits": {"size": [12, 14], "bits": 16},
    "five pages": {"size": [12, 16], "channels": 5, "fit": "squash"},
    "five pages of 16 bits": {"size": [12, 16], "channels": 5, "bits": 16, "fit": "pad"},
    "five channels": {"size": [12, 20], "bits": 16},
    "a range": {"size": 12, "range": [0, 10_000], "bits": 16, "fit": "pad"},
}


def digit(number: int, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.uint8(DIGITS[number].reshape(8, 8) * 255 / 16)).resize(size, Image.Resampling.BICUBIC)


def write(path: Path, number: int, kind: str) -> None:
    """One of the digits as a file of this kind; no two in a row are of a size."""
    picture = digit(number, (20 + number % 7, 26 - number % 5))
    wide = np.asarray(picture).astype(np.uint16) * 39 + number % 7
    match kind:
        case "16 bits":
            Image.fromarray(wide * 6).save(path.with_suffix(".png" if number % 2 else ".tif"))
        case "colours of 16 bits":
            colours = np.stack([wide * 6, np.roll(wide, 1, 0) * 5, np.roll(wide, 1, 1) * 4], 2)
            content = wide_png(colours) if number % 2 else wide_tiff(colours)
            path.with_suffix(".png" if number % 2 else ".tif").write_bytes(content)
        case "five pages" | "five pages of 16 bits":
            pages = [np.roll(np.asarray(picture) if kind == "five pages" else wide, shift, 1) for shift in range(5)]
            first, *others = map(Image.fromarray, pages)
            first.save(path.with_suffix(".tif"), save_all=True, append_images=others)
        case "five channels" | "a range":
            stack = np.stack([np.roll(wide, shift, 1) for shift in range(5)], 2 if number % 2 else 0)
            np.save(path.with_suffix(".npy"), stack if kind == "five channels" else stack.astype(np.float32))
        case _:
            colours = Image.merge("RGBA", [picture, picture.rotate(90).resize(picture.size), picture, picture])
            exif = Image.Exif()
            exif[0x0112] = 1 + number % 8
            (colours if number % 2 else colours.convert("RGB")).save(path.with_suffix(".png"), exif=exif)


def folder_of(root: Path, kind: str, each: int = 12) -> Path:
    for label in range(3):
        (root / str(label)).mkdir(parents=True)
        for number in np.flatnonzero(label == LABELS)[:each].tolist():
            write(root / str(label) / str(number), number, kind)
    return root


def seen_in_training(images: StreamedImages) -> tuple[list[str], torch.Tensor]:
    """The files of the validation split, and the tensors that a training evaluates."""
    part = images.validation.images
    batches = StreamFeed(images, TrainingSettings(), torch.device("cpu"), 0).evaluation("validation", 8)
    return [str(part.path(number)) for number in range(len(part))], torch.cat([pixels for pixels, _ in batches])


def read_alone(bundles: dict[Path, list[str]]) -> None:
    """Has each bundle's predict.py read its files, and form.py with NumPy, in one process that has no archsearch."""
    given = {str(bundle.resolve()): files for bundle, files in bundles.items()}
    subprocess.run([sys.executable, "-I", "-c", READ, json.dumps(given)], check=True)


def was_read(bundle: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The files as predict.py of the bundle has read them, and as form.py has with NumPy."""
    return torch.load(bundle / "read.pt"), torch.from_numpy(np.load(bundle / "read.npy"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[StreamedImages, Path]]:
    """Of each form its images, and a bundle that has read them."""
    top, pairs = tmp_path_factory.mktemp("forms"), {}
    for kind, form in FORMS.items():
        bundle = top / kind / "bundle"
        root = str(folder_of(top / kind / "images", kind))
        settings = DataSettings(name="folder", root=root, in_memory=False, validation=0.3, **form)
        images = load_images(settings)
        assert isinstance(images, StreamedImages)
        network = build(get("resnet20_cifar").model_copy(update={"input": images.shape, "classes": 3}))
        bundle.mkdir()
        known = preprocessing(Origin(network=network, images=images, settings=settings))
        (bundle / "preprocessing.json").write_text(json.dumps(known))
        write_alone(bundle)
        pairs[kind] = images, bundle
    read_alone({bundle: seen_in_training(images)[0] for images, bundle in pairs.values()})
    return pairs


@pytest.mark.parametrize("kind", FORMS)
def test_a_file_is_the_tensor_that_the_training_saw(kind, loaded):
    images, bundle = loaded[kind]
    known = json.loads((bundle / "preprocessing.json").read_text())
    files, wanted = seen_in_training(images)
    assert len(files) > 5 and wanted.shape[1:] == images.shape
    for read in was_read(bundle):
        assert read.dtype == torch.float32
        assert torch.allclose(read, wanted, rtol=0, atol=2e-5)
    assert known["scaling"].startswith(f"pixel / {images.white},")
    root = str(bundle.parent / "images")
    held = load_images(DataSettings(name="folder", root=root, in_memory=True, validation=0.3, **FORMS[kind]))
    assert np.array_equal(held.validation.images, images.validation.images[:])


def test_five_channels_of_16_bits_from_run_to_predict(tmp_path, monkeypatch, capsys):
    """`train`, `export` and the bundle alone, with parity of every format; then weights without their experiment."""
    monkeypatch.chdir(tmp_path)
    root = folder_of(tmp_path / "images", "five channels")
    words = ["--data", "folder", "--root", str(root), "--epochs", "1", "--batch-size", "16"]
    words += ["--set", "data.size=[12, 20]", "--set", "data.bits=16", "--set", "data.fit=pad"]
    assert main(["train", "resnet20_cifar", *words, "--output", "trained"]) == 0
    weights = ["--weights", "trained/weights.safetensors"]
    assert main(["export", "trained/model.yaml", *weights, "-o", "bundle"]) == 0
    capsys.readouterr()
    known = json.loads(Path("bundle/preprocessing.json").read_text())
    form = known["form"]
    assert (form["channels"], form["height"], form["width"], form["bits"], form["fit"]) == (5, 12, 20, 16, "pad")
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    assert [entry["kept"] for entry in manifest["parity"]] == [True, True, True]
    settings = DataSettings(name="folder", root=str(root), size=[12, 20], bits=16, fit="pad", in_memory=False)
    files, wanted = seen_in_training(load_images(settings))
    read_alone({Path("bundle"): files})
    for read in was_read(Path("bundle")):
        assert torch.allclose(read, wanted, rtol=0, atol=2e-5)
    hub = json.loads(Path("bundle/huggingface/config.json").read_text())["preprocessing"]
    assert hub == known
    origin = of_file(get("resnet20_cifar").model_copy(update={"input": (5, 12, 20), "classes": 3}),
                     Path("trained/weights.safetensors"))  # fmt: skip
    assert preprocessing(origin)["form"] == form
