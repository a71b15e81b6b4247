"""A source of one's own: a class that a file names is imported where the command line allows it, and only there."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from archsearch.cli import main
from archsearch.reading.errors import InputError
from archsearch.sources import own
from tests.sources.laid_out import counts, digits, load

MODULE = """
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

(Path(__file__).parent / "imported").touch()
pixels, target = load_digits(return_X_y=True)

class Digits:
    shape = (1, 8, 8)
    classes = list("abcdefghij")

    def __init__(self, path):
        self.path = path
        self.labels = target[:80]
        self.groups = [f"writer {number // 4}" for number in range(80)]
        self.splits = ["test" if number >= 60 else None for number in range(80)]

    def read(self, number):
        return np.rint(pixels[number] * (255 / 16)).astype(np.uint8).reshape(8, 8)

class Few(Digits):
    def __init__(self, path):
        super().__init__(path)
        self.groups = self.groups[:3]

class Texts(Digits):
    def read(self, number):
        return "no image"

nothing = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_images.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "ALLOWED_CLASSES", set())
    yield tmp_path
    sys.modules.pop("my_images", None)


def test_a_class_is_read_where_it_was_allowed(module: Path) -> None:
    own.allow(["my_images:Digits"])
    images, _ = load(name="my_images:Digits", root=str(module), in_memory=False)
    assert images.classes == tuple("abcdefghij") and images.shape == (1, 8, 8) and sum(counts(images)) == 80
    assert np.array_equal(images.test.images[:][:, 0], digits(80)[0][60:])
    groups = [set((images.split(name).images.numbers // 4).tolist()) for name in ("train", "validation")]
    assert not groups[0] & groups[1]
    again = pickle.loads(pickle.dumps(images))
    assert again.digest == images.digest and np.array_equal(again.test.images[:3], images.test.images[:3])


def test_it_is_not_imported_where_it_was_not_and_the_files_name_is_not_repeated(module: Path, capsys) -> None:
    with pytest.raises(InputError, match="importing its module runs its code") as caught:
        load(name="my_images:Digits", root=str(module))
    assert "my_images" not in str(caught.value) and "--allow-source MODULE:CLASS" in str(caught.value)
    file = module / "space.yaml"
    file.write_text(
        "archsearch: 1\nname: own\ndata: {name: 'my_images:Digits', root: .}\n"
        "space: {stem: {kernel: 3, width: 8}, stages: 2, depth: 1, width: {choice: [8, 16], each: stage}}\n"
    )
    assert main(["check", str(file), "--no-probe"]) == 2
    assert "--allow-source" in capsys.readouterr().err and not (module / "imported").exists()
    assert main(["check", str(file), "--no-probe", "--allow-source", "my_images:Digits"]) == 0
    assert (module / "imported").exists()


def test_train_compare_and_report_take_a_source_that_is_allowed(module: Path, capsys, monkeypatch) -> None:
    """`train` to its end; the others as far as the experiments that are not there."""
    monkeypatch.chdir(module)
    words = ["train", "resnet20_cifar", "--data", "my_images:Digits", "--root", ".", "--epochs", "1"]
    assert main(words) == 2 and "--allow-source" in capsys.readouterr().err
    allowed = ["--allow-source", "my_images:Digits"]
    assert main([*words, *allowed, "--output", "trained"]) == 0
    assert (module / "trained" / "result.json").exists()
    for verb in (["report", "nowhere"], ["compare", "nowhere", "nowhere"]):
        own.ALLOWED_CLASSES.clear()
        assert main([*verb, *allowed]) == 2 and "my_images:Digits" in own.ALLOWED_CLASSES


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("my_images:Nobody", "is no class"), ("my_images:nothing", "is no class"),
        ("nowhere:Digits", "No module named"),
        ("my_images:Few", "3 groups for 80 images"), ("my_images:Texts", r"read\(\d+\) returned a str"),
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused(module: Path, name: str, problem: str) -> None:
    own.allow([name])
    with pytest.raises(InputError, match=problem):
        load(name=name, root=str(module))
