"""Other images than before are noticed, whatever they are called: by `resume`, `--warm-start` and `confirm`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archsearch.data.images import ImageSet, Split
from archsearch.data.recorded import images_record, refuse_other_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.search.confirming.confirm import Plan, confirm
from archsearch.search.proposing.warm_start import carry_over
from archsearch.search.session import Session, _search
from archsearch.space.loading import load_space
from tests.search.local import Silent, tiny


def image_set(seed: int = 0, *, train: int = 20, test: int = 8, flipped: int = 0, classes: str = "ab") -> ImageSet:
    draws = np.random.default_rng(seed)
    splits = {}
    for name, count in (("train", train), ("validation", 8), ("test", test)):
        labels = np.arange(count) % 2
        labels[:flipped] = 1 - labels[:flipped]
        splits[name] = Split(images=draws.integers(0, 255, (count, 1, 8, 8)).astype(np.uint8), labels=labels)
    return ImageSet.of(name="folder", classes=tuple(classes), **splits)


BEFORE = image_set()
OTHERS = {
    "pixels": image_set(1), "count": image_set(train=18), "labels": image_set(flipped=2),
    "classes": image_set(classes="ac"),
    "split": replace(BEFORE, validation=BEFORE.test, test=BEFORE.validation),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    """An experiment with one trained trial, on BEFORE."""
    space, folder = tiny(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin(images_record(BEFORE))
    assert space.data.name == "digits"
    return folder


@pytest.mark.parametrize("change", OTHERS)
def test_a_session_on_other_images_is_refused_before_it_begins(folder: ExperimentFolder, change: str) -> None:
    space = load_space(folder.space_yaml)
    with Ledger.open(folder.ledger) as ledger:
        before = ledger.last_event()
        with pytest.raises(InputError, match=r"(?s)other images, labels or splits than before.*--force"):
            _search(Session(folder=folder, images=OTHERS[change]), space, ledger, Silent())
        assert ledger.last_event() == before
        assert refuse_other_images(ledger, BEFORE, hint="", file="") == ""
        note = refuse_other_images(ledger, OTHERS[change], hint="", file="", force=True)
        assert OTHERS[change].digest in note
        ledger.begin(images_record(OTHERS[change]))  # as by force: from now on these are the experiment's
        assert refuse_other_images(ledger, OTHERS[change], hint="", file="") == ""


def test_what_cannot_be_compared_is_told(folder: ExperimentFolder, tmp_path: Path) -> None:
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin({"data": "0123456789abcdef", "streamed": True})
        assert "cannot be compared" in refuse_other_images(ledger, BEFORE, hint="", file="")
    with Ledger.create(tmp_path / "older.sqlite", {"name": "older"}) as ledger:
        ledger.begin({})
        assert "has no digest of its images" in refuse_other_images(ledger, BEFORE, hint="", file="")


def test_a_warm_start_and_a_confirmation_refuse_them_too(folder: ExperimentFolder, tmp_path: Path) -> None:
    from tests.search.local import drive_locally

    drive_locally(load_space(folder.space_yaml), folder)
    space = load_space(folder.space_yaml)
    assert not carry_over(space, folder, BEFORE).notes
    with pytest.raises(InputError, match="other images"):
        carry_over(space, folder, OTHERS["pixels"])
    other = replace(space, data=space.data.model_copy(update={"limit": 100}))
    assert any("data settings differ" in note for note in carry_over(other, folder).notes)
    with pytest.raises(InputError, match="other images"):
        confirm(Plan(folder=folder, top=1, seeds=1), OTHERS["pixels"], Silent())
