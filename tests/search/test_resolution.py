"""`data.size` as a parameter: a search of two sizes of real images, from the counts to the exported network."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

import archsearch
from archsearch.analysis.report import read_experiment
from archsearch.analysis.report.choices import columns
from archsearch.analysis.report.comparing import _same_data
from archsearch.analysis.report.importance import importance
from archsearch.analysis.report.narrower import _apply
from archsearch.api.reporting import write_report
from archsearch.architecture.cost import cost
from archsearch.architecture.memory import training_bytes
from archsearch.data.datasets import load_images
from archsearch.data.decoding import decode, decode_each
from archsearch.data.form import ImageForm
from archsearch.data.recorded import images_record, refuse_other_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import read
from archsearch.search.confirming.contenders import baseline, reference_network
from archsearch.search.proposing.experience import source_of
from archsearch.search.proposing.warm_start import carry_over
from archsearch.search.session import create
from archsearch.space.choices import RandomChoices, RecordedChoices
from archsearch.space.loading import load_space, space_of
from archsearch.space.many.cost_table import NAMES
from archsearch.space.many.encoding import encode
from archsearch.space.many.feasible import Feasible
from archsearch.space.resolution import sides
from archsearch.space.schema import json_schema
from tests.search.local import drive_locally
from tests.search.test_main_job import finish, start

SPACE = """\
archsearch: 1
name: sizes
data: {{name: folder, root: {root}, size: {{choice: [8, 16, [8, 24]]}}, channels: 1}}
space:
  stages: 2
  depth: {{choice: [1, 2]}}
  width: {{choice: [4, 8], each: stage, order: increasing}}
  stem: {{pool: {{choice: [none, max], when: {{data.size: [16, 8x24]}}}}}}
budget: {{flops: {{max: 700k}}, memory: {{max: 12M}}}}
search: {{trials: 5, seed: 3, finish: none}}
training: {{epochs: 2, batch_size: 16, recipe: none}}
"""


CHOICES = {"depth": 1, "stage1.width": 4, "stage2.width": 4, "data.size": 8}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits as PNG files, enlarged: 40 of each of three classes."""
    from sklearn.datasets import load_digits

    digits, top = load_digits(), tmp_path_factory.mktemp("digits") / "images"
    for label in (0, 3, 7):
        (top / str(label)).mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == label][:40]):
            image = Image.fromarray((pixels * 15).astype(np.uint8)).resize((24, 24))
            image.save(top / str(label) / f"{number}.png")
    return top


@pytest.fixture
def file(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "sizes.yaml"
    path.write_text(SPACE.format(root=root))
    return path


def test_every_candidate_is_counted_at_its_own_size(file: Path) -> None:
    space = load_space(file)
    assert space.input == (1, 16, 16), "the largest"
    assert space.inputs == {(1, 8, 8), (1, 16, 16), (1, 8, 24)}
    feasible = Feasible(space, seed=0, budgeted=False)
    rows = feasible.everything
    assert rows is not None and len(rows) == space.size() == 2 * 3 * (1 + 2 + 2)
    counts, possible = feasible.counter.count(rows)
    memory = feasible.costs(rows)["memory"]
    assert possible.all()
    for row, counted, needed in zip(rows, counts, memory, strict=True):
        network = space.architecture(RecordedChoices(feasible.grid.choices(row)))
        expected = cost(network)
        assert counted.tolist() == [getattr(expected, name) for name in NAMES] == list(feasible.counter.one(row) or ())
        assert expected.image == network.input[1] * network.input[2]
        assert needed == space.price(expected).memory
        assert needed == training_bytes(
            params=expected.params, saved=expected.saved, largest=expected.largest, batch=16, image=expected.image
        )
        encoded = encode(space, feasible.grid, network, space.training)
        assert not isinstance(encoded, str)
        assert space.architecture(RecordedChoices(feasible.grid.choices(encoded))) == network
    admitted = [feasible.grid.choices(row) for row in Feasible(space, seed=0)]
    assert 0 < len(admitted) < len(rows)
    assert {choices["data.size"] for choices in admitted} == {8, 16, "8x24"}
    assert all(
        space.budget.admits(space.price(cost(space.architecture(RecordedChoices(choices))))) for choices in admitted
    )


def test_the_resolved_file_is_the_same_space(file: Path) -> None:
    space = load_space(file)
    document = space.to_dict()
    assert document["data"]["size"] == {"choice": [8, 16, "8x24"]}
    again = space_of(read(space.to_yaml()))
    assert again == space
    assert Draft202012Validator(json_schema()).is_valid(read(space.to_yaml()).data), "the JSON Schema has the domain"
    assert again.architecture(RandomChoices(2)) == space.architecture(RandomChoices(2))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("{choice: [4, 32]}", r"data.size.choice\[0\] is 4; allowed: an integer from 8 to 1024"),
        ("{choice: [32, [48, 4]]}", r"data.size.choice\[1\] is '48x4'; allowed: an integer from 8"),
        ("{choice: [32, 32x32]}", "the option 32 is there twice"),
        ("{float: [32, 64]}", r"data.size.float\[0\] is 32.0"),
        ("{int: [32, 64]}", "data.size has 33 values; allowed: at most 16"),
        ("{choice: [32, 48], each: stage}", "data.size is a single value"),
    ],
)
def test_what_is_no_size_is_refused_at_its_position(file: Path, size: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_space(file, [f"data.size={size}"])


def test_images_of_one_size_take_no_domain(file: Path) -> None:
    with pytest.raises(InputError, match=r"data.size is a parameter, but the images of digits have one size, 8x8"):
        load_space(file, ["data.name=digits"])


def test_a_fixed_size_still_decides_what_depends_on_it(file: Path) -> None:
    assert load_space(file, ["data.size=8"]).size() == 6, "no pool is asked for"
    fixed = load_space(file, ["data.size=[8, 24]"])
    assert (fixed.size(), fixed.input, fixed.inputs) == (12, (1, 8, 24), {(1, 8, 24)})
    assert load_space(file, ["data.size={int: [8, 24], step: 8}"]).inputs == {(1, side, side) for side in (8, 16, 24)}


def test_images_are_held_at_each_size_as_alone(file: Path, root: Path) -> None:
    space = load_space(file)
    images = load_images(space.data)
    streamed = load_images(space.data.model_copy(update={"in_memory": False}))
    assert images.shape == (1, 16, 16) and len(images.others) == 2
    for shape in space.inputs:
        alone = load_images(space.data.at(shape))
        assert alone.shape == shape and not alone.others
        assert images.at(shape).digest == alone.digest
        assert (images.at(shape).mean, images.at(shape).std) == (alone.mean, alone.std)
        assert np.array_equal(streamed.at(shape).train.images[:5], alone.train.images[:5])
        assert (streamed.at(shape).mean, streamed.at(shape).std) == (alone.mean, alone.std)
        assert images.at(shape).train.labels is images.train.labels, "labels are there once"
    assert images.nbytes > sum(images.at(shape).train.images.nbytes for shape in space.inputs)


def test_a_photo_is_decoded_once_a_scale_and_equals_what_each_size_gets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.data import decoding

    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize((400, 300))
    photo.save(tmp_path / "photo.jpg", quality=90)
    photo.save(tmp_path / "photo.png")
    forms = [ImageForm(channels=3, height=side, width=side) for side in (200, 120, 100, 96, 32)]
    for name, decodes in (("photo.jpg", 3), ("photo.png", 1)):  # at 1, at 1/2 (three sizes), at 1/8
        opened, count = decoding.opened, []
        monkeypatch.setattr(decoding, "opened", lambda *a, o=opened, c=count, **k: c.append(1) or o(*a, **k))
        sized = decode_each(tmp_path / name, forms, name)
        monkeypatch.setattr(decoding, "opened", opened)
        assert len(count) == decodes
        for pixels, form in zip(sized, forms, strict=True):
            assert np.array_equal(pixels, decode(tmp_path / name, form, name))


@pytest.mark.slow
def test_a_search_of_sizes_from_its_first_trial_to_a_prediction(file: Path, root: Path, tmp_path: Path) -> None:
    folder, bundle = tmp_path / "experiments" / "sizes", tmp_path / "bundle"
    assert _run(tmp_path, "run", str(file)) != ""
    assert _run(tmp_path, "resume", "sizes", "--trials", "6") != ""
    with Ledger.read(ExperimentFolder(folder).ledger) as ledger:
        trials = ledger.trials()
    assert len(trials) == 6 and all(trial.value is not None for trial in trials)
    inputs = {trial.choices["data.size"]: tuple(trial.architecture["input"]) for trial in trials}
    assert len(inputs) >= 2 and all(inputs[size] == (1, *sides(size)) for size in inputs)
    _run(tmp_path, "confirm", "sizes", "--seeds", "1", "--top", "2", "--no-random", "--baseline", "resnet20_cifar")
    rows = json.loads((folder / "confirm" / "confirm.json").read_text())["rows"]
    assert {tuple(row["architecture"]["input"]) for row in rows if row["kind"] == "trial"} <= set(inputs.values())
    with Ledger.read(ExperimentFolder(folder).ledger) as ledger:
        best = ledger.best()
    assert best is not None
    assert [row["architecture"]["input"] for row in rows if row["kind"] == "baseline"] == [best.architecture["input"]]
    (train,) = (line for line in _run(tmp_path, "status", "sizes").splitlines() if "archsearch train" in line)
    trained = tmp_path / "trained"
    _run(tmp_path, *shlex.split(train)[1:], "--set", "training.epochs=1", "--output", str(trained))
    assert json.loads((trained / "result.json").read_text())["data"]["form"]["height"] == best.architecture["input"][1]
    winner = archsearch.open(folder)
    assert winner.space.inputs == load_space(file).inputs
    assert winner.images().at(winner.architecture.input).shape == winner.architecture.input
    _run(tmp_path, "export", "sizes", "--int8", "-o", str(bundle))
    form = json.loads((bundle / "preprocessing.json").read_text())["form"]
    assert (form["height"], form["width"]) == winner.architecture.input[1:]
    image = next((root / "3").iterdir())
    printed = [json.loads(_run(tmp_path, "predict", source, str(image), "--json")) for source in ("sizes", str(bundle))]
    labels = [[prediction["label"] for prediction in each["predictions"]] for each in printed]
    assert labels[0] == labels[1] and len(labels[0]) == 1


def _run(folder: Path, *words: str) -> str:
    code, out, err = finish(start(folder, *words))
    assert code == 0, err
    return out


def test_an_interrupted_search_goes_on_with_both_sizes_and_starts_a_narrower_one(file: Path, tmp_path: Path) -> None:
    asha = ["search.early_stopping={kind: asha, grace_epochs: 1, reduction: 2}", "search.trials=24"]
    wider = ["space.width={choice: [4, 6, 8], each: stage, order: increasing}", "budget={flops: {max: 9M}}"]
    space = load_space(file, [*asha, *wider])
    whole, halved = (ExperimentFolder(tmp_path / name) for name in ("whole", "halved"))
    for folder in (whole, halved):
        create(space, folder, name=folder.name)
    drive_locally(space, whole)
    drive_locally(load_space(halved.space_yaml), halved, reports=9)
    drive_locally(load_space(halved.space_yaml), halved)
    with Ledger.read(whole.ledger) as first, Ledger.read(halved.ledger) as second:
        trials, again = first.trials(), second.trials()
        assert [(t.digest, t.value, t.state) for t in trials] == [(t.digest, t.value, t.state) for t in again]
        assert {trial.state.value for trial in trials} == {"finished", "stopped"}, "rungs"
    inputs = {(trial.choices["data.size"], *trial.architecture["input"]) for trial in trials}
    assert inputs == {(8, 1, 8, 8), (16, 1, 16, 16), ("8x24", 1, 8, 24)}
    write_report(whole)
    report = whole.report.read_text()
    assert "data.size" in report and "8x24" in report
    influence = importance(columns(trials), np.array([trial.value for trial in trials], float))
    assert "data.size" in {row["word"] for row in influence["words"]}
    data = {"data": {"size": {"choice": [8, 16, "8x24"]}}, "space": {"stem": {"pool": {"choice": [1, 2]}}}}
    changes = _apply(data, {"data.size": [16]})
    assert changes == [{"word": "data.size", "from": "8, 16, 8x24", "to": "16"}]
    assert data["data"]["size"] == {"choice": [16]}
    experience = source_of(whole)
    assert experience is not None and {"data.size=8", "data.size=8x24"} <= experience.features.keys()
    assert _same_data(read_experiment(whole), read_experiment(halved))
    fixed = load_space(file, [*wider, "data.size=16"])
    carried = carry_over(fixed, whole)
    assert {result.choices.get("data.size") for result in carried.results} == {None}
    assert len(carried.results) == sum(trial.architecture["input"][1:] == [16, 16] for trial in trials)


def test_images_are_known_again_at_any_size_that_both_have(file: Path, tmp_path: Path) -> None:
    space = load_space(file)
    with Ledger.create(tmp_path / "ledger.sqlite", {"name": "sizes"}) as ledger:
        ledger.begin(images_record(load_images(space.data)))
        for shape in space.inputs:
            assert refuse_other_images(ledger, load_images(space.data.at(shape)), hint="", file="") == ""
        with pytest.raises(InputError, match="other images"):
            refuse_other_images(ledger, load_images(load_space(file, ["data.size=24"]).data), hint="", file="")


def test_baselines_and_the_reference_network_see_the_best_networks_size(file: Path) -> None:
    space = load_space(file)
    best = baseline("best", space.architecture(RecordedChoices(CHOICES)), space.at((1, 8, 8)))
    assert best.architecture.input == (1, 8, 8)
    reference = reference_network(space, best)
    assert reference is not None and reference.architecture.input == (1, 8, 8)
