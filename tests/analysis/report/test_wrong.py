"""The section on where the winner is wrong, of real searches on real images, and where something of it is missing."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Mapping
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import r2_score

from archsearch.analysis.mistakes import mistakes
from archsearch.analysis.report import Context, document, page, read_experiment
from archsearch.analysis.report.matrix import DRAWN, confusion
from archsearch.analysis.report.pictures import LARGEST
from archsearch.api.reporting import write_report
from archsearch.data.recorded import images_record
from archsearch.data.thumbnails import SIDE, data_uri
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.predictions import Predictions, SplitPredictions, keep
from archsearch.network import build
from archsearch.search.session import create
from archsearch.space.loading import load_space
from archsearch.training.loop import Training
from archsearch.training.recording import evaluated
from tests.analysis.report.searches import confirm, experiment
from tests.search.local import SPACE, drive_locally, load_images
from tests.training.task_images import task_images
from tests.training.test_task_training import RUN, architecture

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def searched(place: Path, data: str, *overrides: str) -> ExperimentFolder:
    """A finished search of two networks on this data, as its session leaves it."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / "space.yaml"
    file.write_text(SPACE.replace("{name: digits, limit: 200, validation: 0.3}", data))
    one = ("search.trials=2", "search.early_stopping.kind=none", "training.epochs=3")
    space = load_space(file, (*one, *overrides))
    folder = ExperimentFolder(place / "x")
    create(space, folder, name="small")
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin(images_record(load_images(space.data)))
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:
        ledger.end("finished")
    return folder


def section_of(folder: ExperimentFolder, **options: Any) -> tuple[str, Mapping[str, Any]]:
    """The section's HTML, and the report's figures."""
    path, figures = write_report(folder, **options)
    json.dumps(figures, allow_nan=False)
    text = path.read_text()
    part = re.search(r'<section id="wrong">.*?</section>', text, re.DOTALL)
    assert (part is not None) == ('href="#wrong"' in text)
    return part[0] if part else "", figures


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    return searched(tmp_path_factory.mktemp("digits"), "{name: digits, limit: 200, validation: 0.3}")


@pytest.fixture
def own(digits: ExperimentFolder, tmp_path: Path) -> ExperimentFolder:
    """A copy of it, to be hurt."""
    return ExperimentFolder(Path(shutil.copytree(digits.path, tmp_path / "copy")))


def test_the_section_has_the_winners_figures_of_the_test_images(digits: ExperimentFolder) -> None:
    text, figures = section_of(digits)
    rows = figures["mistakes"]
    images = load_images(load_space(digits.space_yaml).data)
    tested = figures["winner"]["test"]["mean"]
    assert (rows["split"], rows["images"]) == ("test", len(images.test))
    assert 1 - rows["wrong"] / rows["images"] == pytest.approx(tested)
    assert sum(map(sum, rows["matrix"])) == rows["images"]
    assert [row["name"] for row in rows["classes"]] == list(images.classes)
    assert f"Where it is wrong: {rows['wrong']:,} of {rows['images']:,} test images" in text
    assert text.count('<svg class="chart wide"') == text.count('<svg class="chart narrow"') == 2
    for name in ("confusion matrix of 10 classes", "reliability diagram of"):
        assert text.count(f'aria-label="{name}') == 2
    for heading in ("Each class", "Labels that may be wrong", "The worst mistakes", "Its probabilities are off by"):
        assert heading in text


class Pictures(HTMLParser):
    """The attributes of every picture."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all += [dict(attrs)] if tag == "img" else []


def test_the_pictures_are_those_very_images_few_and_small(digits: ExperimentFolder) -> None:
    text, figures = section_of(digits)
    listed = [*figures["mistakes"]["suspects"], *figures["mistakes"]["worst"]]
    shown = Pictures(text).all
    assert 0 < len(shown) == len(listed) <= 24
    assert sum(len(picture["src"] or "") for picture in shown) <= LARGEST
    images = load_images(load_space(digits.space_yaml).data)
    for row, picture in zip(listed, shown, strict=True):
        assert picture["alt"] == f"{row['split']} image {row['image']}"
        content = base64.b64decode((picture["src"] or "").partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        assert np.array_equal(pixels, images.split(row["split"]).images[row["image"]][0])
        assert images.classes[images.split(row["split"]).labels[row["image"]]] == row["label"] != row["predicted"]


def test_without_images_the_lists_stay_and_no_picture_is_read(digits: ExperimentFolder) -> None:
    text, figures = section_of(digits, images=False)
    assert "<img" not in text and "No pictures: left out by --no-images." in text
    assert figures["mistakes"]["worst"] and text.count("<li><div>") == len(
        [*figures["mistakes"]["suspects"], *figures["mistakes"]["worst"]]
    )


@pytest.mark.parametrize(
    ("hurt", "message"),
    [(lambda file: file.unlink(), "cannot be read: No such file or directory"),
     (lambda file: file.write_bytes(file.read_bytes()[:-9]), "is damaged: its SHA-256 is not the recorded one"),
     (lambda file: file.write_bytes(b""), "is damaged: its SHA-256 is not the recorded one")],
)  # fmt: skip
def test_without_the_outputs_a_sentence_says_why(own: ExperimentFolder, hurt: Any, message: str) -> None:
    (file,) = own.path.glob("trials/*/predictions.npz")
    hurt(file)
    text, figures = section_of(own)
    assert figures["mistakes"] is None and message in figures["why_no_mistakes"]
    assert f"It cannot be said where the network is wrong: predictions.npz {message}." in text


def test_an_experiment_of_an_earlier_archsearch_says_so_and_an_untested_one_nothing(tmp_path: Path) -> None:
    folder = experiment(tmp_path, 4)
    assert section_of(folder)[0] == ""
    with Ledger.open(folder.ledger) as ledger:
        ledger.note("tested", {"test_accuracy": 0.5}, trial=ledger.best().number)
    text, figures = section_of(folder)
    assert figures["mistakes"] is None and "the archsearch that tested it did not record its outputs" in text


def test_where_the_data_is_gone_or_another_the_lists_stay_without_pictures(tmp_path: Path) -> None:
    root = tmp_path / "shots"
    pixels, labels = load_digits(return_X_y=True)
    names = ('a <b>"zero"</b> & co', "one`s", "two")
    for index in np.flatnonzero(labels < 3)[:240]:
        place = root / names[labels[index]]
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray((pixels[index].reshape(8, 8) * 15).astype(np.uint8))
        picture.save(place / f"<i>{index}.png")
    folder = searched(tmp_path / "search", f"{{name: folder, root: {root}, size: 8, validation: 0.3}}")
    text, figures = section_of(folder)
    listed = [*figures["mistakes"]["suspects"], *figures["mistakes"]["worst"]]
    assert len(Pictures(text).all) == len(listed) > 0
    assert all(Path(row["name"]).is_file() and row["name"].startswith(str(root)) for row in listed), "files are named"
    assert "<b>" not in text and "<i>" not in text and "&lt;b&gt;&quot;zero&quot;&lt;/b&gt; &amp; co" in text
    (root / "two").rename(root / "zwei")
    (root / "two").mkdir()
    for file in list((root / "zwei").iterdir())[:9]:
        file.rename(root / "two" / file.name)
    shutil.rmtree(root / "zwei")
    assert "No pictures: the data is not what the network was trained on." in section_of(folder)[0]
    shutil.rmtree(root)
    text, figures = section_of(folder)
    assert "No pictures: the images cannot be read:" in text and "<img" not in text
    assert figures["mistakes"]["worst"]


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_ten_thousand_images_of_fashion_mnist(tmp_path: Path) -> None:
    data = "{name: fashion_mnist, limit: 1000, validation: 0.02}"
    folder = searched(tmp_path, data, "search.trials=1", "training.epochs=1", "budget.flops.max=1M")
    text, figures = section_of(folder)
    rows = figures["mistakes"]
    assert [row["count"] for row in rows["classes"]] == [1000] * 10
    assert 1 - rows["wrong"] / 10_000 == pytest.approx(figures["winner"]["test"]["mean"])
    assert len(Pictures(text).all) == len([*rows["suspects"], *rows["worst"]]) == 24
    assert "T-shirt/top" in text and len(text) < 250_000


def predicted(classes: int, images: int) -> Predictions:
    draw = np.random.default_rng(0)
    labels = np.arange(images) % classes
    scores = 2 * np.eye(classes)[labels] + draw.normal(size=(images, classes))
    names = tuple(f"<class {i}>" for i in range(classes))
    return Predictions(
        task="single_label",
        classes=names,
        splits={"test": SplitPredictions(scores=scores.astype(np.float32), labels=labels)},
    )


@pytest.mark.parametrize(("classes", "drawn"), [(10, 10), (30, 30), (90, DRAWN)])
def test_of_many_classes_the_matrix_is_compact(classes: int, drawn: int) -> None:
    figures = mistakes(predicted(classes, 1800))
    chart = confusion(figures)
    hits = sum(figures["matrix"][i][i] > 0 for i in range(classes))
    assert chart.count('class="hit"') <= 2 * min(hits, drawn)
    assert len({*re.findall(r"\d+ of class (\S+ \d+&gt;)", chart)}) == drawn
    assert ("cell-count" in chart) == (classes == 10)
    assert len(chart) < 900_000 and "<class" not in chart


def test_a_thumbnail_is_small_whatever_the_image_is() -> None:
    draw = np.random.default_rng(0)
    for shape, dtype, mode in (((1, 28, 28), np.uint8, "L"), ((3, 300, 200), np.uint8, "RGB"), ((5, 40, 40), np.uint16,
                               "RGB"), ((2, 8, 500), np.uint16, "L")):  # fmt: skip
        uri, width, height = data_uri(draw.integers(0, np.iinfo(dtype).max, shape).astype(dtype))
        image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        assert (image.size, image.mode) == ((width, height), mode) and max(image.size) <= SIDE
        assert uri.startswith("data:image/png" if max(shape[1:]) <= 48 else "data:image/jpeg")
        assert len(uri) < 20_000
    black = np.zeros((1, 8, 8), np.uint16)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data_uri(black)[0].partition(",")[2])))).max() == 0


def test_a_class_at_fault_is_named_where_the_next_steps_are(own: ExperimentFolder) -> None:
    reading = read_experiment(own, Context())
    figures = document(reading)
    labels = np.repeat(np.arange(3), 40)
    scores = 4.0 * np.eye(3)[np.where(np.arange(120) < 31, 1, labels)]
    split = SplitPredictions(scores=scores.astype(np.float32), labels=labels)
    names = ("<zero>", "one", "two")
    figures["mistakes"] = mistakes(Predictions(task="single_label", classes=names, splits={"test": split}))
    text = page(reading, figures)
    sentence = "Class &lt;zero&gt; stands out: 31 of 40 wrong, most of them predicted as one."
    assert text.count(sentence) == 2


def recorded(task: str, place: Path) -> tuple[ExperimentFolder, Predictions]:
    """A search's folder whose winner's outputs are those of a network that was trained on real images of this task."""
    images = task_images(task)
    training = Training(build(architecture(images)), images, RUN)
    for _ in training:
        pass
    _, outputs = evaluated(training)
    folder = experiment(place, 6)
    confirm(folder, 3)
    weights = folder.confirmation.weights
    with Ledger.open(folder.ledger) as ledger:
        keep(folder, ledger, outputs, weights, sha256(weights.read_bytes()).hexdigest(), 3)
    return folder, Predictions.from_bytes(outputs.content or b"")


def test_several_labels_on_real_images(tmp_path: Path) -> None:
    folder, outputs = recorded("multi_label", tmp_path)
    text, figures = section_of(folder, images=False)
    rows, split = figures["mistakes"], outputs.splits["test"]
    assert rows["task"] == "multi_label" and outputs.thresholds is not None
    shares = 1 / (1 + np.exp(-split.scores.astype(float)))
    decided = shares >= np.array(outputs.thresholds)
    assert rows["wrong"] == (decided != split.labels).any(1).sum()
    assert [row["predicted"] for row in rows["classes"]] == decided.sum(0).tolist()
    assert "Each label" in text and "confusion matrix" not in text and "reliability diagram" in text
    assert "predicted not " in text or "<div>not " in text


def test_numbers_on_real_images_have_residuals(tmp_path: Path) -> None:
    folder, outputs = recorded("regression", tmp_path)
    text, figures = section_of(folder, images=False)
    assert figures["mistakes"] is None
    split, (target, *_) = outputs.splits["test"], figures["residuals"]["targets"]
    errors = (split.scores - split.labels)[:, 0].astype(float)
    assert target["mean_absolute_error"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert target["root_mean_square_error"] == pytest.approx((errors**2).mean() ** 0.5, rel=1e-5)
    assert target["r2"] == pytest.approx(r2_score(split.labels[:, 0], split.scores[:, 0]), abs=1e-5)
    assert sum(target["counts"]) == len(errors) == figures["residuals"]["images"]
    worst = figures["residuals"]["worst"]
    assert abs(worst[0]["predicted"] - worst[0]["label"]) == pytest.approx(np.abs(errors).max(), rel=1e-5)
    assert len(worst) == 12 and text.count("<li><div>") == 12
    assert text.count('aria-label="' + target["name"] + ": predicted against true of") == 2
    assert "The largest errors" in text and f"{target['r2']:.3f}" in text
