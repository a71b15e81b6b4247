"""CIFAR-10, CIFAR-100, Fashion-MNIST and folders, in their real formats on disk, made here with fewer images."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import socket
import struct
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.data import cifar, download, mnist, sourced
from archsearch.data.cifar import CLASSES
from archsearch.data.datasets import load_images
from archsearch.data.decoding import decode
from archsearch.data.form import ImageForm
from archsearch.data.pickles import read_pickle
from archsearch.reading.errors import InputError
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings

BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


def cifar_settings(root: Path, **words) -> DataSettings:
    return DataSettings(name="cifar10", root=str(root), validation=0.2, **words)


def cifar_files(protocol: int = 2, each: int = 20) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    generator, files, pixels = np.random.default_rng(0), {}, {}
    for name in BATCHES:
        pixels[name] = generator.integers(0, 256, (each, 3072), dtype=np.uint8)
        batch = {b"batch_label": b"x", b"labels": [i % 10 for i in range(each)], b"data": pixels[name]}
        files[name] = pickle.dumps(batch, protocol=protocol)
    files["batches.meta"] = pickle.dumps({b"label_names": [c.encode() for c in CLASSES]}, protocol=protocol)
    return files, pixels


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    (root / "cifar-10-batches-py").mkdir(parents=True)
    for name, data in files.items():
        (root / "cifar-10-batches-py" / name).write_bytes(data)
    return root


def write_archive(root: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name if name.startswith((".", "/")) else f"cifar-10-batches-py/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return root


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("write", [write_folder, write_archive])
def test_cifar_is_read_from_folder_and_archive(tmp_path, write, protocol):
    files, pixels = cifar_files(protocol)
    images = load_images(cifar_settings(write(tmp_path, files)))
    assert images.classes == CLASSES and images.shape == (3, 32, 32)
    assert [len(s) for s in (images.train, images.validation, images.test)] == [80, 20, 20]
    assert np.array_equal(images.test.images.reshape(20, 3072), pixels["test_batch"])
    assert images.test.labels.tolist() == [i % 10 for i in range(20)]
    known = {row.tobytes() for name in BATCHES[:5] for row in pixels[name]}
    assert {x.tobytes() for s in (images.train, images.validation) for x in s.images} == known


class Runs:
    """Pickled as a call of a function, and what its result's __setstate__ is given."""

    def __init__(self, function, *arguments, state=None):
        self.what = (function, arguments, state)

    def __reduce__(self):
        return self.what


FINE = tuple(f"fine {number:02}" for number in range(100))


def cifar_100_files(protocol: int = 2) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """With the keys of the real files, the coarse labels among them; 200 training images, 100 of the test split."""
    generator, files, pixels = np.random.default_rng(0), {}, {}
    for name, each in (("train", 200), ("test", 100)):
        pixels[name] = generator.integers(0, 256, (each, 3072), dtype=np.uint8)
        content = {
            b"filenames": [b"x.png"] * each, b"batch_label": b"x", b"data": pixels[name],
            b"fine_labels": [i % 100 for i in range(each)], b"coarse_labels": [i % 20 for i in range(each)],
        }  # fmt: skip
        files[name] = pickle.dumps(content, protocol=protocol)
    names = {b"fine_label_names": [c.encode() for c in FINE], b"coarse_label_names": [b"coarse"] * 20}
    files["meta"] = pickle.dumps(names, protocol=protocol)
    return files, pixels


def write_cifar_100(root: Path, files: dict[str, bytes], *, packed: bool) -> DataSettings:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if packed:
        with tarfile.open(root / "cifar-100-python.tar.gz", "w:gz") as tar:
            tar.add(folder, "cifar-100-python")
        for name in files:
            (folder / name).unlink()
        folder.rmdir()
    return DataSettings(name="cifar100", root=str(root), validation=0.5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("protocol", [2, 5])
def test_cifar_100_is_read_from_folder_and_archive_with_its_fine_labels(tmp_path, packed, protocol):
    files, pixels = cifar_100_files(protocol)
    images = load_images(write_cifar_100(tmp_path, files, packed=packed))
    assert images.classes == FINE and images.shape == (3, 32, 32) and images.name == "cifar100"
    assert [len(s) for s in (images.train, images.validation, images.test)] == [100, 100, 100]
    assert np.array_equal(images.test.images.reshape(100, 3072), pixels["test"])
    assert images.test.labels.tolist() == list(range(100))
    expected = facts(DataSettings(name="cifar100"))
    assert (expected.input, expected.classes, expected.images) == ((3, 32, 32), 100, 50_000)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("train", {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 0]}, "fine_labels do not fit"),
        ("test", {b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [0, 100]}, "0 to 99"),
        ("meta", {b"fine_label_names": [b"apple"]}, "hold 1 names, not 100"),
        ("meta", None, "missing"),
        ("train", Runs(os.system, "touch ran"), "its pickle holds the name"),
    ],
)
def test_files_that_are_not_cifar_100s_are_refused_by_name(tmp_path, monkeypatch, name, content, problem):
    monkeypatch.chdir(tmp_path)
    files, _ = cifar_100_files()
    if content is None:
        del files[name]
    else:
        files[name] = pickle.dumps(content, protocol=2)
    with pytest.raises(InputError, match=f"cifar-100-python: {name}: .*{problem}"):
        load_images(write_cifar_100(tmp_path / "data", files, packed=False))
    assert not (tmp_path / "ran").exists()


def test_cifar_100_is_downloaded_and_compared_with_its_digest(tmp_path, monkeypatch):
    archive = "cifar-100-python.tar.gz"
    settings = write_cifar_100(tmp_path / "there", cifar_100_files()[0], packed=True)
    content = (tmp_path / "there" / archive).read_bytes()
    monkeypatch.setattr(download, "reachable", lambda site: site == f"https://www.cs.toronto.edu/~kriz/{archive}")
    downloads = [content, b"another", content]
    monkeypatch.setattr(
        "torchvision.datasets.utils.download_url",
        lambda url, folder, filename: Path(folder, filename).write_bytes(downloads.pop()),
    )
    monkeypatch.setattr(cifar, "CIFAR_100", replace(cifar.CIFAR_100, sha256=hashlib.sha256(content).hexdigest()))
    missing = settings.model_copy(update={"root": str(tmp_path / "here"), "download": True})
    assert load_images(missing).classes == FINE and (tmp_path / "here" / archive).read_bytes() == content
    (tmp_path / "here" / archive).unlink()
    with pytest.raises(InputError, match=f"the download failed: .*{archive} has SHA-256"):
        load_images(missing)
    assert not (tmp_path / "here" / archive).exists()


def test_reading_an_archive_writes_nothing_and_ignores_what_it_does_not_know(tmp_path):
    files, _ = cifar_files()
    root = write_archive(tmp_path, {"../outside": b"x", "/etc/outside": b"x", "readme.html": b"x", **files})
    before = sorted(tmp_path.parent.rglob("*"))
    load_images(cifar_settings(root))
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_pickle_as_python_2_wrote_it_is_read():
    """Protocol 2 with str for bytes and numpy.core's names, written out by hand as in the real archive."""
    raw = bytes(range(6))
    data = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x06" + raw + b"tbU\x06labelsq\x06]q\x07(K\x06K\x09eu."
    )
    found = read_pickle(data)
    assert found["labels"] == [6, 9] and found["data"].tolist() == [[0, 1, 2], [3, 4, 5]]


# Text of which NumPy's own classes would make the address of an object, and follow it.
OBJECTS = Runs(np.dtype, "V8", False, True, state=(3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 8, 0))
ADDRESS = Runs(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b", state=(1, (1,), OBJECTS, False, b"A" * 8))


@pytest.mark.parametrize("write", [write_folder, write_archive])
@pytest.mark.parametrize(
    "poison",
    [
        lambda path: Runs(os.system, f"touch {path}"),
        lambda path: Runs(eval, f"open({str(path)!r}, 'w')"),
        lambda path: Runs(getattr, "text", "upper"),
        lambda path: Runs(np.ndarray, (2**50,)),
        lambda path: Runs(np.fromfile, str(path)),
        lambda path: ADDRESS,
    ],
)
def test_a_poisoned_pickle_does_not_run(tmp_path, write, poison):
    mark = tmp_path / "ran"
    files, _ = cifar_files()
    files["data_batch_3"] = pickle.dumps({b"data": poison(mark), b"labels": []}, protocol=2)
    with pytest.raises(InputError, match="data_batch_3: its pickle holds"):
        load_images(cifar_settings(write(tmp_path, files)))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("batch", "word"),
    [
        ({b"data": np.zeros((20, 3071), np.uint8), b"labels": [0] * 20}, "uint8"),
        ({b"data": np.zeros((20, 3072), np.int64), b"labels": [0] * 20}, "uint8"),
        ({b"data": np.zeros((20, 3072), np.uint8), b"labels": [0] * 19}, "do not fit"),
        ({b"data": np.zeros((20, 3072), np.uint8), b"labels": [10] * 20}, "0 to 9"),
        ({b"labels": [0] * 20}, "NoneType"),
        ([1, 2], "not a dictionary"),
    ],
)
def test_a_batch_that_is_none_is_refused_by_name(tmp_path, batch, word):
    files, _ = cifar_files()
    files["data_batch_2"] = pickle.dumps(batch, protocol=2)
    with pytest.raises(InputError, match=f"data_batch_2: .*{word}"):
        load_images(cifar_settings(write_folder(tmp_path, files)))


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no gzip" * 50])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    path = write_archive(tmp_path, cifar_files()[0]) / "cifar-10-python.tar.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"cifar-10-python.tar.gz"):
        load_images(cifar_settings(tmp_path))


def test_a_missing_batch_is_named(tmp_path):
    files, _ = cifar_files()
    del files["data_batch_4"]
    with pytest.raises(InputError, match="data_batch_4: missing"):
        load_images(cifar_settings(write_folder(tmp_path, files)))


@pytest.mark.parametrize("wanted", [False, True])
def test_absent_cifar_is_refused_in_seconds_with_the_ways_out(tmp_path, monkeypatch, wanted):
    def no_such_host(*arguments, **words):
        raise socket.gaierror("name or service not known")

    monkeypatch.setattr(socket, "create_connection", no_such_host)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_images(cifar_settings(tmp_path / "none", download=wanted))
    assert time.monotonic() - start < 30, "it tried again and again"
    for way in ("cifar-10-python.tar.gz", "cs.toronto.edu", "data.root=DIR", "data.name=digits", str(tmp_path)):
        assert way in str(caught.value)


def test_a_host_that_never_answers_is_given_up_in_time(monkeypatch):
    given_up = threading.Event()

    def never(*arguments, **words):
        assert given_up.wait(60), "nobody gave up"
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", never)
    assert not download.reachable("https://example.org/", seconds=0.2)
    given_up.set()


def test_a_host_that_listens_is_reachable(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert download.reachable(f"http://127.0.0.1:{server.getsockname()[1]}/x")


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def fashion_files() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": generator.integers(0, 256, (50, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.arange(50, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(20, dtype=np.uint8) % 10,
    }


def fashion_settings(root: Path) -> DataSettings:
    return DataSettings(name="fashion_mnist", root=str(root), validation=10)


@pytest.mark.parametrize("under", ["FashionMNIST/raw", "."])
@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_is_read_from_idx_files(tmp_path, under, packed):
    files, place = fashion_files(), tmp_path / under
    place.mkdir(parents=True, exist_ok=True)
    for name, array in files.items():
        data = idx(array)
        (place / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    images = load_images(fashion_settings(tmp_path))
    assert images.shape == (1, 28, 28) and images.classes[9] == "Ankle boot"
    assert np.array_equal(images.test.images[:, 0], files["t10k-images-idx3-ubyte"])
    assert len(images.train) == 40 and np.bincount(images.validation.labels).tolist() == [1] * 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-1],
        lambda b: b + b"x",
        lambda b: b"",
        lambda b: b[:6],
        lambda b: b"\0\0\x0d\3" + b[4:],
        lambda b: b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        lambda b: idx(np.zeros((50, 27, 28), np.uint8)),
    ],
)
def test_damaged_idx_files_are_refused_by_name(tmp_path, damage):
    for name, array in fashion_files().items():
        data = idx(array)
        (tmp_path / name).write_bytes(damage(data) if name == "train-images-idx3-ubyte" else data)
    with pytest.raises(InputError, match="train-images-idx3-ubyte"):
        load_images(fashion_settings(tmp_path))


def test_absent_fashion_mnist_names_debians_package(tmp_path):
    with pytest.raises(InputError, match="apt-get install dataset-fashion-mnist"):
        mnist.load(replace(mnist.FASHION, system=tmp_path / "none"), fashion_settings(tmp_path), print)


@pytest.mark.skipif(not mnist.DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_is_read(tmp_path):
    images = load_images(DataSettings(name="fashion_mnist", root=str(tmp_path), validation=5000, limit=1000))
    assert [len(s) for s in (images.train, images.validation, images.test)] == [1000, 5000, 10000]
    assert np.bincount(images.test.labels).tolist() == [1000] * 10
    assert images.mean[0] == pytest.approx(0.286, abs=0.01)


@pytest.mark.parametrize("under", ["MNIST/raw", "."])
def test_mnist_is_read_from_idx_files(tmp_path, under):
    files, place = fashion_files(), tmp_path / under
    place.mkdir(parents=True, exist_ok=True)
    for name, array in files.items():
        (place / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    images = load_images(DataSettings(name="mnist", root=str(tmp_path), validation=10))
    assert images.classes == tuple("0123456789") and images.shape == facts(DataSettings(name="mnist")).input
    assert np.array_equal(images.test.images[:, 0], files["t10k-images-idx3-ubyte"])
    with pytest.raises(InputError, match="MNIST is not in"):
        load_images(DataSettings(name="mnist", root=str(tmp_path / "none")))


def write_svhn(root, count=40):
    from scipy.io import savemat

    generator, arrays = np.random.default_rng(0), {}
    for name in ("train", "test"):
        arrays[name] = generator.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = np.tile(np.arange(1, 11, dtype=np.uint8), count // 10)[:, None]
        savemat(root / f"{name}_32x32.mat", {"X": arrays[name], "y": labels}, do_compression=True)
    return arrays


def test_svhn_is_read_and_its_ten_is_a_nought(tmp_path):
    arrays = write_svhn(tmp_path)
    images = load_images(DataSettings(name="svhn", root=str(tmp_path), validation=10))
    assert images.shape == facts(DataSettings(name="svhn")).input == (3, 32, 32)
    assert np.array_equal(images.test.images, arrays["test"].transpose(3, 2, 0, 1))
    assert images.test.labels[:11].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize("damage", [lambda b: b[:300], lambda b: b"", lambda b: b[:200] + b"\xff" * 60 + b[260:]])
def test_damaged_svhn_files_are_refused_by_name(tmp_path, damage):
    write_svhn(tmp_path)
    file = tmp_path / "train_32x32.mat"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"train_32x32\.mat: (it cannot be read|other arrays)"):
        load_images(DataSettings(name="svhn", root=str(tmp_path)))
    with pytest.raises(InputError, match="SVHN is not in"):
        load_images(DataSettings(name="svhn", root=str(tmp_path / "none")))


COLOURS = {"blue": (10, 20, 230), "red": (230, 20, 10)}


def write_images(top: Path, each: int, kind: str = "png") -> Path:
    for name, colour in COLOURS.items():
        (top / name).mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", (40 + number, 24), colour).save(top / name / f"{number}.{kind}")
    return top


def folder_settings(root: Path, **words) -> DataSettings:
    return DataSettings(name="folder", root=str(root), **{"size": 16, "validation": 0.25} | words)


def counts(images) -> list[int]:
    return [len(split) for split in (images.train, images.validation, images.test)]


def test_a_folder_of_classes_is_split_in_three(tmp_path):
    images = load_images(folder_settings(write_images(tmp_path / "a", 20)))
    assert images.classes == ("blue", "red") and images.shape == (3, 16, 16)
    assert counts(images) == [26, 8, 6] and np.bincount(images.test.labels).tolist() == [3, 3]
    for label, colour in enumerate(COLOURS.values()):
        pixels = images.train.images[images.train.labels == label].transpose(0, 2, 3, 1)
        assert (pixels == np.array(colour, np.uint8)).all()


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_a_folder_with_splits_keeps_them(tmp_path, validation):
    for name, each in (("train", 6), (validation, 2), ("test", 3)):
        write_images(tmp_path / name, each, "jpg")
    assert counts(load_images(folder_settings(tmp_path))) == [12, 4, 6]


def test_a_folder_with_train_alone_draws_the_others_from_it(tmp_path):
    write_images(tmp_path / "train", 20)
    assert counts(load_images(folder_settings(tmp_path, limit=10))) == [10, 8, 6]


def test_images_are_resized_and_cropped_in_the_middle(tmp_path):
    for name, colour in COLOURS.items():
        write = np.zeros((20, 60, 3), np.uint8)
        write[:, 20:40] = colour
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(write).save(tmp_path / name / f"{number}.png")
    images = load_images(folder_settings(tmp_path, size=10))
    inner = images.train.images[images.train.labels == 0][0, :, :, 1:-1]
    assert (inner == np.array(COLOURS["blue"], np.uint8)[:, None, None]).all()


def test_other_modes_become_rgb(tmp_path):
    write_images(tmp_path, 5)
    Image.new("L", (30, 30), 7).save(tmp_path / "red" / "grey.png")
    Image.new("RGBA", (30, 30), (1, 2, 3, 4)).save(tmp_path / "red" / "clear.png")
    Image.new("P", (30, 30)).save(tmp_path / "blue" / "palette.gif")
    assert sum(counts(load_images(folder_settings(tmp_path)))) == 13


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not an image"])
def test_a_broken_image_is_named(tmp_path, damage):
    broken = write_images(tmp_path, 6) / "red" / "3.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(broken)
    broken.write_bytes(damage(broken.read_bytes()))
    with pytest.raises(InputError, match=r"red/3\.png"):
        load_images(folder_settings(tmp_path))


def test_folders_that_hold_no_classes_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_images(folder_settings(tmp_path / "none"))
    (tmp_path / "one").mkdir()
    with pytest.raises(InputError, match="1 sub-folders"):
        load_images(folder_settings(tmp_path))
    (tmp_path / "two").mkdir()
    with pytest.raises(InputError, match="no images"):
        load_images(folder_settings(tmp_path))


def test_a_class_without_training_images_is_refused(tmp_path):
    write_images(tmp_path / "train", 4)
    write_images(tmp_path / "test", 2)
    (tmp_path / "test" / "green").mkdir()
    with pytest.raises(InputError, match="'green'"):
        load_images(folder_settings(tmp_path))


def test_images_that_do_not_fit_in_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sourced, "free_memory", lambda: 40 * 3 * 16 * 16 * 2 - 1)
    root = write_images(tmp_path, 20)
    (root / "red" / "0.png").write_bytes(b"broken, and never opened")
    with pytest.raises(InputError, match="half of the free memory"):
        load_images(folder_settings(root, in_memory=True))


def test_free_memory_is_what_this_machine_could_have():
    assert 2**26 < sourced.free_memory() < 2**46


def longest_name(root: Path) -> None:
    """A tar whose first header announces a name of 2 GiB, which follows."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2 << 30
    with gzip.open(root / "cifar-10-python.tar.gz", "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(b"a" * 2**20)


def many_members(root: Path) -> None:
    """A tar of 1 GiB of other files, in a megabyte."""
    header = tarfile.TarInfo("other")
    header.size = 2**26
    with gzip.open(root / "cifar-10-python.tar.gz", "wb", compresslevel=1) as file:
        for _ in range(17):
            file.write(header.tobuf(tarfile.USTAR_FORMAT) + bytes(2**26))


def negative_size(root: Path) -> None:
    header = bytearray(tarfile.TarInfo("other").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    with gzip.open(root / "cifar-10-python.tar.gz", "wb") as file:
        file.write(header)


@pytest.mark.parametrize("make", [longest_name, many_members, negative_size])
def test_an_archive_that_grows_when_it_is_read_is_refused(tmp_path, make):
    make(tmp_path)
    with pytest.raises(InputError, match=r"cifar-10-python.tar.gz: .*(bytes|damaged)"):
        load_images(cifar_settings(tmp_path))


def test_a_batch_that_is_a_pipe_or_too_large_is_refused_by_name(tmp_path):
    folder = write_folder(tmp_path, cifar_files()[0]) / "cifar-10-batches-py"
    (folder / "data_batch_2").unlink()
    os.mkfifo(folder / "data_batch_2")
    with pytest.raises(InputError, match="data_batch_2: it cannot be read: it is a named pipe"):
        load_images(cifar_settings(tmp_path))
    (folder / "data_batch_2").unlink()
    with (folder / "data_batch_2").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r"data_batch_2: it cannot be read: it has 1,099,511,627,776 bytes"):
        load_images(cifar_settings(tmp_path))


def test_another_format_under_an_images_name_is_not_decoded(tmp_path):
    """Pillow reads PostScript by running Ghostscript."""
    Image.new("RGB", (8, 8)).save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.png")
    with pytest.raises(InputError, match="not a readable image"):
        decode(tmp_path / "x.png", ImageForm(channels=3, height=8, width=8), "x.png")
