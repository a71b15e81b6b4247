"""The file of a winner's outputs: what goes in comes out, its size is bounded, and nothing else is read."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.experiment import ExperimentFolder, Ledger, predictions
from archsearch.experiment.predictions import Predictions, Recorded, SplitPredictions, keep, predictions_of, too_large
from archsearch.experiment.winner import winner_of
from tests.search.local import drive_locally, tiny

DRAW = np.random.default_rng(0)


def outputs(count: int = 6, classes: int = 3) -> Predictions:
    labels = np.arange(count, dtype=np.int64) % classes
    split = SplitPredictions(scores=DRAW.normal(size=(count, classes)).astype(np.float32), labels=labels)
    return Predictions(task="single_label", classes=tuple("abcdefghij"[:classes]), splits={"test": split})


def content_of(whole: Predictions) -> bytes:
    content = whole.recorded().content
    assert content is not None
    return content


def test_what_goes_in_comes_out_less_each_images_highest() -> None:
    whole = outputs()
    back = Predictions.from_bytes(content_of(whole))
    assert (back.task, back.classes, list(back.splits)) == (whole.task, whole.classes, ["test"])
    scores, split = whole.splits["test"].scores, back.splits["test"]
    assert split.scores.dtype == np.float32 and split.scores.max(1).tolist() == [0.0] * 6
    assert np.allclose(split.scores, scores - scores.max(1, keepdims=True))
    assert np.array_equal(split.labels, whole.splits["test"].labels)
    assert content_of(whole) == content_of(whole), "the same outputs are the same bytes"
    with np.load(io.BytesIO(content_of(whole)), allow_pickle=False) as file:  # anybody's NumPy reads it
        assert set(file.files) == {"about", "test_scores", "test_labels"}


@pytest.mark.parametrize(("task", "labels"), [("multi_label", np.ones((2, 3), np.uint8)),
                                              ("regression", np.full((2, 3), 1e6, np.float32))])  # fmt: skip
def test_labels_and_numbers_stay_as_they_are(task: str, labels: np.ndarray) -> None:
    scores = np.array([[1e6, -2, 3], [4, 5, 6.5]], np.float32) if task == "regression" else np.eye(2, 3, dtype="f")
    split = SplitPredictions(scores=scores, labels=labels)
    back = Predictions.from_bytes(content_of(Predictions(task=task, classes=("a", "b", "c"), splits={"test": split})))
    kept = back.splits["test"]
    assert kept.labels.dtype == labels.dtype and np.array_equal(kept.labels, labels)
    assert np.array_equal(kept.scores, scores)


def test_large_outputs_are_float16_and_larger_ones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = outputs()
    monkeypatch.setattr(predictions, "LARGEST", 4 * 18 - 1)
    scores = Predictions.from_bytes(content_of(whole)).splits["test"].scores
    assert scores.dtype == np.float16
    assert np.array_equal(scores.argmax(1), whole.splits["test"].scores.argmax(1))
    monkeypatch.setattr(predictions, "LARGEST", 2 * 18 - 1)
    recorded = whole.recorded()
    assert recorded.content is None and recorded.sha256 is None
    assert recorded.reason is not None and recorded.reason.startswith("the outputs for all images take")
    assert too_large(36) is not None and too_large(35) is None


def rewritten(content: bytes, name: str, data: bytes | None, *, compress: bool = False) -> bytes:
    """The file with another member of that name (None: without it)."""
    result = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(result, "w", kind) as target:
        for member in source.namelist():
            if member != name:
                target.writestr(member, source.read(member))
        if data is not None:
            target.writestr(name, data)
    return result.getvalue()


def array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def about(**changes: Any) -> bytes:
    values = {"task": "single_label", "classes": ["a", "b", "c"], "thresholds": None} | changes
    return rewritten(content_of(outputs()), "about.npy", array(np.frombuffer(json.dumps(values).encode(), np.uint8)))


def test_the_members_are_what_is_read() -> None:
    assert Predictions.from_bytes(about()).thresholds is None
    earlier = array(np.frombuffer(b'{"task": "single_label", "classes": ["a", "b", "c"]}', np.uint8))
    assert Predictions.from_bytes(rewritten(content_of(outputs()), "about.npy", earlier)).thresholds is None
    assert Predictions.from_bytes(about(thresholds=[0.1, 0.5, 1])).thresholds == (0.1, 0.5, 1.0)


def damaged() -> dict[str, bytes]:
    content = content_of(outputs())
    header = array(np.zeros((6, 3), np.float32))
    return {
        "no zip": b"weights",
        "nothing": b"",
        "half of it": content[: len(content) // 2],
        "one byte is another": content[:200] + bytes([content[200] ^ 255]) + content[201:],
        "packed": rewritten(content, "none", None, compress=True),
        "no labels": rewritten(content, "test_labels.npy", None),
        "no scores": rewritten(content, "test_scores.npy", None),
        "no about": rewritten(content, "about.npy", None),
        "about of no JSON": rewritten(content, "about.npy", array(np.zeros(3, np.uint8))),
        "an unknown task": about(task="x"),
        "too few classes": about(classes=["a"]),
        "classes without names": about(classes=[1, 2, 3]),
        "too few thresholds": about(thresholds=[0.5]),
        "thresholds that are no numbers": about(thresholds=["a", "b", {}]),
        "a header that promises more": rewritten(
            content, "test_scores.npy", header.replace(b"(6, 3)", b"(9999999, 9999)").replace(b" " * 11, b"", 1)
        ),
        "a pickle": rewritten(content, "test_labels.npy", array(np.array([{}, 1], object))),
        "labels of no class": rewritten(content, "test_labels.npy", array(np.full(6, 3, np.int64))),
        "negative labels": rewritten(content, "test_labels.npy", array(np.full(6, -1, np.int64))),
        "too few labels": rewritten(content, "test_labels.npy", array(np.zeros(5, np.int64))),
        "no numbers": rewritten(content, "test_scores.npy", array(np.full((6, 3), np.nan, np.float32))),
        "other classes": rewritten(content, "test_scores.npy", array(np.zeros((6, 4), np.float32))),
    }


@pytest.mark.parametrize("case", damaged())
def test_what_is_no_such_file_is_a_value_error(case: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Predictions.from_bytes(damaged()[case])


def searched(place: Path) -> ExperimentFolder:
    space, folder = tiny(place, "search.trials=2", "training.epochs=1", "search.early_stopping.kind=none")
    drive_locally(space, folder)
    return folder


def read(folder: ExperimentFolder) -> Predictions | str:
    with Ledger.read(folder.ledger) as ledger:
        winner = winner_of(folder, ledger)
        assert winner is not None
        return predictions_of(folder, ledger, winner)


def test_a_file_that_is_missing_or_another_is_named_with_the_reason(tmp_path: Path) -> None:
    folder = searched(tmp_path)
    assert isinstance(read(folder), Predictions)
    with Ledger.read(folder.ledger) as ledger:
        file = folder.weights(ledger.best().number).with_name("predictions.npz")
    content = file.read_bytes()
    file.unlink()
    assert read(folder) == "predictions.npz cannot be read: No such file or directory"
    file.write_bytes(content[:-1] + b"x")
    assert read(folder) == "predictions.npz is damaged: its SHA-256 is not the recorded one"
    file.unlink()
    with Ledger.open(folder.ledger) as ledger:
        best = ledger.best()
        weights, sha256 = folder.weights(best.number), ledger.weights_digest(best.number)
        keep(folder, ledger, Recorded(content=b"of all things"), weights, sha256, best.number)
    assert str(read(folder)).startswith("predictions.npz is damaged: not a file of predictions")
    with Ledger.open(folder.ledger) as ledger:
        keep(folder, ledger, Recorded(content=None, reason="too many"), weights, sha256, best.number)
        count = ledger.last_event()
        keep(folder, ledger, Recorded(content=None, reason="too many"), weights, sha256, best.number)
        assert ledger.last_event() == count, "the same is not noted twice"
    assert read(folder) == "too many"


def test_of_other_weights_nothing_is_read(tmp_path: Path) -> None:
    folder = searched(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        best = ledger.best()
        keep(folder, ledger, outputs().recorded(), folder.weights(best.number), "0" * 64, best.number)
    assert read(folder) == "predictions.npz is damaged: its SHA-256 is not the recorded one"
