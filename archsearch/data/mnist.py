"""MNIST (LeCun 1998) and Fashion-MNIST (Xiao 2017, arXiv:1708.07747) from idx files, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsearch.data.download import obtain
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.splitting import assemble
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular
from archsearch.space.settings import DataSettings

SIDE = 28
LARGEST = 256 * 2**20  # five times the largest real file, unpacked
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One of the two data sets as it was published: its four files, gzipped, and where they are looked for."""

    title: str
    folder: str  # torchvision's, below ROOT
    url: str
    sha256: tuple[str, str, str, str]  # of the gzipped files, in the order of NAMES
    classes: tuple[str, ...]
    system: Path | None = None  # of a Debian package
    hint: str = ""


FASHION = Published(
    title="Fashion-MNIST",
    folder="FashionMNIST",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    system=DEBIAN,
    hint="on Debian: apt-get install dataset-fashion-mnist; or ",
)  # fmt: skip
MNIST = Published(
    title="MNIST",
    folder="MNIST",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    classes=tuple("0123456789"),
)


def load(published: Published, settings: DataSettings, tell: Progress) -> ImageSet:
    """The data set from ROOT/FOLDER/raw, ROOT or Debian's package, whichever is whole; else a download.

    Raises InputError with the ways out.
    """
    raw = Path(settings.root) / published.folder / "raw"
    folders = [raw, Path(settings.root)] + ([] if published.system is None else [published.system])
    files = next((paths for folder in folders if (paths := _files_in(folder))), None)
    if files is None:
        sources = [
            (f"{published.url}{name}.gz", raw / f"{name}.gz", sha256)
            for name, sha256 in zip(NAMES, published.sha256, strict=True)
        ]
        hint = f"{published.hint}put its four .gz files ({published.url})"
        obtain(published.title, published.url, sources, settings, tell, hint=hint)
        files = _files_in(raw)
        assert files is not None, "a download is whole or raises"
    train_images, train_labels, test_images, test_labels = files
    tell(f"reading {train_images.parent}")
    splits = _split(train_images, train_labels), _split(test_images, test_labels)
    return assemble(published.classes, *splits, settings)


def _files_in(folder: Path) -> list[Path] | None:
    """The four files, plain or gzipped, in a folder; None where one is missing."""
    files = [next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None) for name in NAMES]
    return [file for file in files if file] if all(files) else None


def _split(images: Path, labels: Path) -> Split:
    pixels, targets = read_idx(images), read_idx(labels)
    if pixels.shape[1:] != (SIDE, SIDE) or not len(pixels):
        raise _wrong(images, f"shape {pixels.shape}", allowed=f"(N, {SIDE}, {SIDE})")
    if targets.shape != pixels.shape[:1]:
        raise _wrong(labels, f"shape {targets.shape} beside {len(pixels)} images", allowed=f"({len(pixels)},)")
    if targets.max() > 9:
        raise _wrong(labels, f"the label {targets.max()}", allowed="0 to 9")
    return Split(images=pixels[:, None], labels=targets.astype(np.int64))


def read_idx(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The array of an idx file: 0, 0, 8, rank, then each length as four bytes, big end first, then uint8 values.

    Raises InputError naming the file where it is damaged, cut or of another type.
    """
    try:
        with open_regular(path) as raw, gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw as file:
            data = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _wrong(path, f"damaged ({error})", allowed="an idx file, plain or gzipped") from error
    rank = data[3] if len(data) >= 4 and data[:3] == b"\x00\x00\x08" else 0
    start = 4 + 4 * rank
    if not 1 <= rank <= 3 or len(data) < start:
        raise _wrong(path, f"a header of {data[:4].hex() or 'nothing'}", allowed="an idx file of bytes, rank 1 to 3")
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4"))
    if len(data) - start != math.prod(shape):
        raise _wrong(path, f"{len(data) - start} values", allowed=f"{math.prod(shape)}, by its header")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _wrong(path: Path, problem: str, *, allowed: str) -> InputError:
    return refuse(problem, allowed=allowed, hint="fetch the file again", file=str(path))
