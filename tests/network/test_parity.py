"""Our networks against the real torchvision and timm: equal outputs, equal gradients, every weight in its place.

Differences are relative: the largest difference over the largest number of the library's tensor. Weights, norms'
statistics and images are drawn; 64x64 images, two at a time.
"""

import re

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

import archsearch
from archsearch import InputError, zoo
from archsearch.network.build import Network, skeleton
from archsearch.network.published import convert_weights
from archsearch.zoo.libraries import DENSENETS, LIBRARIES, RESNETS
from tests.network.published import published

COMPARED = [
    *((name, "torchvision") for name in (*RESNETS, *DENSENETS)),
    *((name, "timm") for name in ("seresnet50", "resnetv2_50", "dpn68", "dpn92")),
]
CONVERTED = [(name, source) for source in ("torchvision", "timm") for name in LIBRARIES[source]]
QUICK = re.compile(
    "resnet10t|resnet26|seresnext26.*|ecaresnet26t|resnext101_32x4d|resnetv2_.*|dpn.*|vgg11_bn|densenet.*|regnet.*4.*"
)
OTHERS = [
    each if QUICK.fullmatch(each[0]) else pytest.param(*each, marks=pytest.mark.slow)
    for each in CONVERTED
    if each not in COMPARED
]
LARGE = {"resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2"}  # 2 GB and more with gradients
TRAINED = [pytest.param(each, marks=pytest.mark.slow) if each[0] in LARGE else pytest.param(each) for each in COMPARED]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape and torch.isfinite(theirs).all() and theirs.abs().max() > 0
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ours_of(model: nn.Module, name: str, source: str) -> Network:
    network = skeleton(zoo.get(name))
    state = model.state_dict()
    converted = convert_weights(state, name, source)
    assert len(converted) == len(state)
    assert {id(value) for value in converted.values()} == {id(value) for value in state.values()}
    network.load_state_dict({key: value.clone() for key, value in converted.items()}, assign=True)
    return network


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[str, str, nn.Module, Network]:
    """A network's name and library, the library's module and ours, with the same weights."""
    theirs = published(*request.param)
    return *request.param, theirs, ours_of(theirs, *request.param)


@pytest.mark.parametrize("pair", COMPARED, indirect=True, ids="-".join)
def test_parity_of_outputs_in_eval_mode(pair: tuple[str, str, nn.Module, Network]) -> None:
    *_, theirs, ours = pair
    ours, x = ours.eval(), drawn(2, 3, 64, 64, seed=1)
    with torch.no_grad():
        wanted = theirs.eval()(x)
        assert difference(ours(x), wanted) < 1e-5
    assert wanted.std() > 0.01, "outputs that say nothing"


@pytest.mark.parametrize("pair", TRAINED, indirect=True, ids="-".join)
def test_parity_of_gradients_and_statistics_in_train_mode(pair: tuple[str, str, nn.Module, Network]) -> None:
    """Of every parameter, and of the images; then the norms' running statistics."""
    name, source, theirs, ours = pair
    weights, images = drawn(2, 1000, seed=2), []
    for model in (theirs.train(), ours.train()):
        x = drawn(2, 3, 64, 64, seed=1).requires_grad_()
        (model(x) * weights).sum().backward()
        images.append(x.grad)
    assert difference(images[1], images[0]) < 1e-4
    gradients = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    wanted = convert_weights({**theirs.state_dict(), **gradients}, name, source)
    found = {**ours.state_dict(), **{key: parameter.grad for key, parameter in ours.named_parameters()}}
    assert len(gradients) > 60
    for key, value in found.items():
        if value.is_floating_point():
            assert difference(value, wanted[key]) < 1e-4, key


@pytest.mark.parametrize(("name", "source"), OTHERS)
def test_parity_of_names_and_shapes_of_all_other_networks(name: str, source: str) -> None:
    with torch.device("meta" if source == "timm" else "cpu"):  # torchvision's RegNet computes with tensors
        build = timm.create_model if source == "timm" else torchvision.models.get_model
        state = build(name).state_dict()
    converted = convert_weights(state, name, source)
    # Two convolutions of each block of dpn68b are one of ours; torchvision's VGG has linear hidden layers.
    if name != "dpn68b" and (source, name[:3]) != ("torchvision", "vgg"):
        assert {id(value) for value in converted.values()} == {id(value) for value in state.values()}
    assert list(converted) == list(skeleton(zoo.get(name)).state_dict())


def test_parity_of_files_of_2017_whose_dense_layers_have_other_names_and_no_counts() -> None:
    today = published("densenet121", "torchvision").state_dict()
    old = {}
    for key, value in today.items():
        if "num_batches_tracked" not in key:
            old[re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key)] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    new, wanted = (convert_weights(state, "densenet121") for state in (old, today))
    assert list(new) == list(wanted)
    for key, value in new.items():
        assert torch.equal(value, wanted[key]) or (key.endswith("num_batches_tracked") and value == 0), key


def test_parity_is_for_the_network_that_build_gives() -> None:
    state = published("resnet18", "torchvision").state_dict()
    network = archsearch.build("resnet18", seed=3)
    network.load_state_dict(archsearch.convert_weights(state, "resnet18"))
    assert torch.equal(network.stem.conv1.weight, state["conv1.weight"])
    assert torch.equal(network.stage2.block1.shortcut.norm1.running_var, state["layer2.0.downsample.1.running_var"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda state: state.pop("layer1.0.bn1.weight"), r"1 missing \(layer1\.0\.bn1\.weight\)$"),
        (lambda state: state.update({"fc.weight": torch.zeros(10, 512)}), r"fc\.weight is \(10, 512\) and not \(1000"),
        (lambda state: state.update({f"more{n}": torch.zeros(1) for n in range(5)}), r"5 unexpected \(more0, more1, "),
    ],
)
def test_parity_is_refused_where_a_weight_does_not_fit(spoil, said: str) -> None:
    state = dict(published("resnet18", "torchvision").state_dict())
    spoil(state)
    with pytest.raises(InputError, match=said.rstrip("$")):
        convert_weights(state, "resnet18")


@pytest.mark.parametrize(
    ("name", "source", "allowed"),
    [
        ("resnet18", "keras", "torchvision or timm"),
        ("dpn68", "torchvision", "resnet18, .*densenet201"),
        ("resnet50_v1", "timm", "resnet18, .*dpn131"),
        ("nothing", "timm", "resnet18"),
    ],
)
def test_parity_that_nobody_publishes_is_refused_with_what_is(name: str, source: str, allowed: str) -> None:
    with pytest.raises(InputError, match=allowed):
        convert_weights({}, name, source)
