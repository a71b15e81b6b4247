"""NumPy and idx files of images and labels: read in place, compressed ones unpacked once, nothing unpickled."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from archsearch.reading.errors import InputError
from archsearch.sources.arrays import open_idx, open_numpy
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings
from tests.sources.laid_out import counts, digits, idx, load

FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "archsearch" / "images"


def parts() -> dict[str, np.ndarray]:
    pixels, labels = digits(90)
    return {
        "train_images": pixels[:60], "train_labels": labels[:60].astype(np.uint8)[:, None], "val_images": pixels[60:70],
        "val_labels": labels[60:70].astype(np.uint8)[:, None], "test_images": pixels[70:],
        "test_labels": labels[70:].astype(np.uint8)[:, None],
    }  # fmt: skip


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("in_memory", [True, False])
def test_an_npz_file_of_splits(tmp_path: Path, save, in_memory: bool) -> None:
    save(tmp_path / "digits.npz", **parts())
    images, _ = load(name="numpy", file=str(tmp_path / "digits.npz"), in_memory=in_memory)
    assert counts(images) == [60, 10, 20] and images.shape == (1, 8, 8) and images.classes == tuple("0123456789")
    pixels, labels = digits(90)
    assert np.array_equal(images.train.images[:][:, 0], pixels[:60])
    assert np.array_equal(images.test.images[:][:, 0], pixels[70:]) and images.test.labels.tolist() == list(labels[70:])
    known = facts(DataSettings(name="numpy", file=str(tmp_path / "digits.npz")))
    assert (known.input, known.classes, known.images) == ((1, 8, 8), 10, 70)


def test_keras_names_and_colours_last(tmp_path: Path) -> None:
    pixels, labels = digits(50)
    coloured = np.stack([pixels, pixels // 2, 255 - pixels], 3)
    np.savez(tmp_path / "a.npz", x_train=coloured[:40], y_train=labels[:40], x_test=coloured[40:], y_test=labels[40:])
    images, _ = load(name="numpy", file=str(tmp_path / "a.npz"))
    assert counts(images) == [34, 6, 10] and images.shape == (3, 8, 8)
    assert np.array_equal(images.test.images, coloured[40:].transpose(0, 3, 1, 2))


def test_a_folder_of_npy_files_is_read_in_place(tmp_path: Path, cache: Path) -> None:
    pixels, labels = digits(40)
    np.save(tmp_path / "images.npy", pixels)
    np.save(tmp_path / "labels.npy", np.array([f"class {label}" for label in labels]))
    images, _ = load(name="numpy", root=str(tmp_path))
    assert counts(images) == [29, 5, 6] and images.classes[9] == "class 9"
    source = open_numpy(tmp_path)
    assert np.array_equal(pickle.loads(pickle.dumps(source)).read(33), pixels[33]) and not cache.exists()
    assert source.name(33) == f"{tmp_path}/images.npy: image 33"


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_of_any_sizes(tmp_path: Path, packed: bool) -> None:
    pixels, labels = digits(70)
    files = {
        "emnist-letters-train-images-idx3-ubyte": pixels[:50],
        "emnist-letters-train-labels-idx1-ubyte": labels[:50] + 1,
        "emnist-letters-test-images-idx3-ubyte": pixels[50:], "emnist-letters-test-labels-idx1-ubyte": labels[50:] + 1,
    }  # fmt: skip
    for name, array in files.items():
        content = idx(array.astype(np.uint8))
        (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    images, _ = load(name="idx", root=str(tmp_path))
    assert counts(images) == [42, 8, 20] and images.shape == (1, 8, 8)
    assert images.classes == tuple(str(label) for label in range(1, 11))
    assert np.array_equal(images.test.images[:, 0], pixels[50:])


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_as_idx_files() -> None:
    images, _ = load(name="idx", root=str(FASHION), limit=500, validation=1000)
    assert counts(images) == [500, 1000, 10_000] and images.shape == (1, 28, 28)
    named, _ = load(name="fashion_mnist", limit=500, validation=1000)
    assert np.array_equal(images.test.images, named.test.images)
    assert np.array_equal(images.test.labels, named.test.labels)


def refused(path: Path, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        (open_idx if list(path.glob("*ubyte*")) else open_numpy)(path)
    assert str(path) in str(caught.value)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("/tmp/archsearch-was-here"),)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.array([Evil(), Evil()], object), allow_pickle=True)
    np.save(tmp_path / "labels.npy", np.arange(2))
    refused(tmp_path, r"images\.npy: it cannot be read: an array of Python objects")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "images.npy", "images.npy")
    refused(tmp_path / "x.npz", "an array of Python objects")
    assert not Path("/tmp/archsearch-was-here").exists()


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20], lambda b: b"", lambda b: b"\x93NUMPZ" + b[6:]])
def test_damaged_npy_files_are_refused(tmp_path: Path, damage) -> None:
    np.save(tmp_path / "labels.npy", np.arange(5))
    np.save(tmp_path / "images.npy", np.zeros((5, 8, 8), np.uint8))
    (tmp_path / "images.npy").write_bytes(damage((tmp_path / "images.npy").read_bytes()))
    refused(tmp_path, r"images\.npy: it cannot be read")


def test_an_npz_file_that_lies_about_its_members_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, images=np.zeros((5, 8, 8), np.uint8), labels=np.arange(5))
    content = file.read_bytes()
    for hurt in (content[:-30], content[: len(content) // 2], content.replace(b"(5, 8, 8)", b"(9, 9, 9)"), b"PK"):
        file.write_bytes(hurt)
        refused(file, "it cannot be read")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 8, 8)})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("labels.npy", b"")
    refused(file, "it cannot be read")


def test_a_compressed_array_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path, monkeypatch, cache) -> None:
    from archsearch.sources import arrays, unpacking

    for module in (arrays, unpacking):
        monkeypatch.setattr(module, "LARGEST_UNPACKED", 2**16)
    for name, array in (
        ("images-idx3-ubyte.gz", np.zeros((100, 40, 40), np.uint8)),
        ("labels-idx1-ubyte.gz", digits(9)[1]),
    ):
        (tmp_path / name).write_bytes(gzip.compress(idx(array.astype(np.uint8))))
    refused(tmp_path, "more than 65,536 bytes, unpacked")
    assert list(cache.iterdir()) == []
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((100, 40, 40), np.uint8), labels=np.arange(100))
    refused(tmp_path / "a.npz", "more than 65,536")


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"labels": np.arange(3)}, "no images among labels"),
        ({"images": np.zeros((3, 8, 8), np.uint8)}, "but no labels for it among images"),
        ({"images": np.zeros((3, 8, 8), np.uint8), "labels": np.arange(4)}, "3 images in .*, .*4.* labels in"),
        ({"images": np.zeros((3, 8), np.uint8), "labels": np.arange(3)}, r"has uint8 \(3, 8\)"),
        ({"images": np.zeros((3, 8, 8), complex), "labels": np.arange(3)}, "has complex128"),
        ({"images": np.zeros((3, 8, 8), np.uint8), "labels": np.array([0, 1, np.nan])}, "no finite numbers"),
        ({"a_images": np.zeros((3, 8, 8), np.uint8), "a_labels": np.arange(3),
          "b_images": np.zeros((3, 8, 8), np.uint8), "b_labels": np.arange(3)}, "names are not train, validation"),
        ({"images": np.asfortranarray(np.zeros((3, 8, 9), np.uint8)), "labels": np.arange(3)}, "Fortran order"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays, problem: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", problem)
