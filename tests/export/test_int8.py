"""8-bit integers: what is written, that it is as accurate as it says, and what is refused."""

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from archsearch import Architecture, zoo
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Head, Stage, Stem
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder
from archsearch.export import formats, int8, origin, parity
from archsearch.export.fresh import fresh
from archsearch.export.origin import validation
from archsearch.reading.errors import refuse
from archsearch.space.loading import load_space
from archsearch.space.settings import DataSettings
from tests.search.local import finished


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    return finished(tmp_path_factory.mktemp("searched"), "search.trials=2", "training.epochs=6")


def accuracy(file: Path, experiment: ExperimentFolder) -> float:
    images, labels = validation(load_images(load_space(experiment.space_yaml).data))
    return (parity.by_onnx(file, images).argmax(1) == labels).float().mean().item()


def test_a_bundle_has_the_file_and_says_how_accurate_it_is(experiment, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "bundle"
    words = ["export", str(experiment.path), "-o", str(folder), "--int8", "--max-loss", "50"]
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    manifest = json.loads((folder / "manifest.json").read_text())
    measured = manifest["int8"]
    assert json.loads(said.out)["int8"] == measured
    assert measured["accuracy"] == pytest.approx(accuracy(folder / "model.int8.onnx", experiment))
    assert measured["float_accuracy"] == pytest.approx(accuracy(folder / "model.onnx", experiment))
    assert measured["loss_points"] == pytest.approx(100 * (measured["float_accuracy"] - measured["accuracy"]))
    assert (measured["images"], measured["of"]) == (431, "validation split of digits")
    assert 0.8 * 431 < measured["same_top1"] <= 431 and measured["calibrated_on"] == 200
    content = (folder / "model.int8.onnx").read_bytes()
    assert manifest["files"]["model.int8.onnx"] == {"sha256": sha256(content).hexdigest(), "bytes": measured["bytes"]}
    assert measured["float_bytes"] == (folder / "model.onnx").stat().st_size
    sentence = (
        f"int8: {100 * measured['accuracy']:.2f} % accuracy, float {100 * measured['float_accuracy']:.2f} %; "
        f"same top-1 for {measured['same_top1']} of 431 images"
    )
    card = (folder / "MODEL_CARD.md").read_text()
    assert sentence in said.err and sentence in card and "- `model.int8.onnx`: ONNX in 8-bit integers" in card


def test_the_file_alone(experiment, tmp_path: Path, capsys) -> None:
    file = tmp_path / "small.onnx"
    assert main(["export", str(experiment.path), "-o", str(file), "--int8", "--max-loss", "50", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["format"] == "onnx" and said["parity"][0]["kept"], "of the float ONNX that it is made of"
    assert said["int8"]["accuracy"] == pytest.approx(accuracy(file, experiment))
    assert file.stat().st_size == said["int8"]["bytes"] and list(tmp_path.iterdir()) == [file]
    assert_is_quantised(file)


def test_it_is_calibrated_on_training_images_as_the_network_reads_them(experiment) -> None:
    images = load_images(load_space(experiment.space_yaml).data)
    drawn = int8.calibration_images(images, 40)
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (images.mean, images.std))
    every = {((image / 255 - mean) / std).astype("float32").round(4).tobytes() for image in images.train.images}
    assert drawn.shape == (40, 1, 8, 8) and {image.round(4).tobytes() for image in drawn.numpy()} <= every
    assert torch.equal(drawn, int8.calibration_images(images, 40))


def test_too_much_lost_is_an_error_and_leaves_nothing(experiment, tmp_path: Path, monkeypatch, capsys) -> None:
    right = int8.calibration_images
    monkeypatch.setattr(int8, "calibration_images", lambda images: right(images) / 100)  # all ranges far too small
    for output in ("bundle", "model.int8.onnx"):
        assert main(["export", str(experiment.path), "-o", str(tmp_path / output), "--int8"]) == 1
        said = capsys.readouterr().err
        assert "8-bit integers lose" in said and "allowed: at most 1 (--max-loss). Nothing was written" in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(experiment, tmp_path: Path, monkeypatch, capsys) -> None:
    def refusal(*words: str) -> str:
        capsys.readouterr()
        assert main(["export", *words, "-o", str(tmp_path / "model.onnx")]) == 2
        return capsys.readouterr().err

    assert "no training images to calibrate 8-bit integers on" in refusal("resnet20_cifar", "--int8")
    assert "python has no 8-bit integers; allowed: --format bundle or onnx" in refusal(
        str(experiment.path), "--int8", "--format", "python"
    )
    assert "no limit of lost accuracy without --int8" in refusal(str(experiment.path), "--max-loss", "2")
    assert "--max-loss" in refusal(str(experiment.path), "--int8", "--max-loss", "-1")

    def absent(settings: DataSettings, **_: object) -> None:
        raise refuse("there are no images", allowed="a folder of images", file="data.root")

    monkeypatch.setattr(origin, "load_images", absent)
    assert "there are no images" in refusal(str(experiment.path), "--int8")


def test_no_onnx_file_holds_paths_of_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    formats.write_onnx(formats.program(fresh(small({}))), file)
    content = file.read_bytes()
    assert b"stack_trace" not in content and str(Path(formats.__file__).parent).encode() not in content


def small(*blocks: dict[str, object], head: Head | None = None, stem: Stem | None = None) -> Architecture:
    """With a stage of each of these blocks; two where there are no more than two stages."""
    stages = tuple(
        Stage(depth=2 if len(blocks) <= 2 else 1, width=16 if number else 8, stride=1 + (number == 1), block=block)
        for number, block in enumerate(map(Block.model_validate, blocks))
    )
    return Architecture(input=(3, 16, 16), stem=stem or Stem(width=8), stages=stages, head=head or Head())


BOTTLENECK = {"kind": "bottleneck", "bottleneck_ratio": 1.0}
FAMILIES = {
    "plain, bottleneck, se": small(
        {"link": "plain", "norm": "none"},
        {**BOTTLENECK, "cardinality": 2, "shortcut": "C", "stride_at": "conv1x1"},
        {"attention": "se", "attention_reduction": 4},
    ),
    "pre, relu_only_pre": small(
        {"activation": "pre", "shortcut": "A_pool"},
        {"kind": "bottleneck", "activation": "relu_only_pre", "learned_gain": True},
        head=Head(classifier="conv"),
    ),
    "dense, dual_path": small(
        {"link": "dense", "kind": "bottleneck", "activation": "pre", "growth_rate": 8},
        {"link": "dual_path", "kind": "bottleneck", "activation": "pre"},
        stem=Stem(kernel=7, stride=2, pool="max"),
    ),
    "highway, gates": small(
        {"link": "highway", "kind": "single", "norm": "none"},
        {"gate": "exclusive", "branch_scale": 0.5, "shortcut_scale": 0.5},
        head=Head(width=8, pool="max"),
    ),
    "nonlinearities": small(*({"nonlinearity": name} for name in ("silu", "gelu", "hard_swish", "relu6"))),
    "deep, cbam": small(
        {"shortcut": "B_pool"}, {"attention": "cbam", "attention_reduction": 4, "shortcut": "B_pool"},
        stem=Stem(width=8, deep="tiered", pool="max_zero_padded"),
    ),
    "blur, eca": small(
        {"attention": "eca", "activation": "norm_after_addition"}, {"downsample": "blur", "shortcut": "none"},
        stem=Stem(width=8, pool="blur"),
    ),
    "scales, average": small(
        {**BOTTLENECK, "scales": 4}, {"downsample": "average", "shortcut_kernel": 3},
        stem=Stem(width=8, pool="average"),
    ),
    "unpadded, split": small(
        {"shortcut": "A"},
        {**BOTTLENECK, "attention": "split", "cardinality": 2, "downsample": "average_overlapping"},
        stem=Stem(width=8, deep="half", pool="max_unpadded"),
    ),
    "strided, selective": small(
        {"attention": "selective", "attention_reduction": 4, "layers": "3-1-3"},
        {"activation": "pre", "shortcut": "B_pool"},
        stem=Stem(width=8, pool="conv"),
    ),
    "selective_sliced, inside": small(
        {"attention": "selective_sliced", "attention_reduction": 4, "kernel": 5, "activation": "pre"},
        {"kind": "bottleneck", "attention": "se", "attention_at": "inside", "attention_reduction": 4, "group_width": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_converts(name: str, tmp_path: Path) -> None:
    assert_converts(FAMILIES[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_the_whole_zoo_converts(name: str, tmp_path: Path) -> None:
    network = zoo.get(name)
    assert_converts(network.model_copy(update={"input": (3, 64, 64)}) if network.input[1] > 64 else network, tmp_path)


def assert_converts(architecture: Architecture, folder: Path) -> None:
    network, float_file, file = fresh(architecture), folder / "model.onnx", folder / "model.int8.onnx"
    formats.write_onnx(formats.program(network), float_file)
    int8.quantize(float_file, file, parity.random_images(architecture.input, 48, seed=5))
    assert_is_quantised(file)
    assert_norms_are_folded(float_file)
    images = parity.random_images(architecture.input, 33)
    float_scores, scores = parity.by_onnx(float_file, images), parity.by_onnx(file, images)
    assert scores.isfinite().all()
    assert (scores - float_scores).square().mean().sqrt() < 0.25 * float_scores.std()
    by_image = torch.stack([float_scores, scores]).sub(float_scores.mean(0)).flatten(1)
    random_and_deep = float_scores.std(0).mean() < 0.1 * float_scores.std()  # all images get nearly the same scores
    assert random_and_deep or torch.corrcoef(by_image)[0, 1] > 0.5, "scores that do not depend on the image"
    assert file.stat().st_size < 0.5 * float_file.stat().st_size or float_file.stat().st_size < 500_000


def assert_is_quantised(file: Path) -> None:
    """Each convolution and linear layer reads int8 weights with a scale for each output channel, and uint8
    activations; norms read concatenated channels as they are."""
    graph = onnx.load(file).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert layers
    for node in layers:
        activations, weights = (made_by[name] for name in node.input[:2])
        assert activations.op_type == weights.op_type == "DequantizeLinear"
        values, scale = (constants[name] for name in weights.input[:2])
        assert values.dtype == np.int8 and 50 < np.abs(values.astype(int)).max() <= 64, "seven bits"
        assert scale.shape == ((values.shape[0],) if node.op_type != "MatMul" else (values.shape[1],))
        assert made_by[activations.input[0]].op_type != "Conv" and constants[activations.input[2]].dtype == np.uint8
    for node in (node for node in graph.node if node.op_type == "BatchNormalization"):
        source = made_by[node.input[0]]
        if source.op_type == "DequantizeLinear":
            assert made_by[made_by[source.input[0]].input[0]].op_type != "Concat", "one scale for all of its channels"


def assert_norms_are_folded(float_file: Path) -> None:
    """A norm is left only behind what is no convolution, or a convolution that others read too."""
    graph = onnx.load(float_file).graph
    readers = Counter(name for node in graph.node for name in node.input)
    convolutions = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    behind = [node.input[0] for node in graph.node if node.op_type == "BatchNormalization"]
    assert [name for name in behind if name in convolutions and readers[name] == 1] == []
