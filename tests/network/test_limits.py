"""Where one family's words are set to a limit, another family comes out, exactly."""

import re

import timm
import torch
from torch import nn

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.network import build
from archsearch.network.layers import LearnedGain, VectorNorm
from archsearch.network.units import ResidualUnit


def unit(**words: object) -> ResidualUnit:
    """The second block of a stage: the shape does not change in it."""
    stage = Stage(depth=2, width=16, stride=1, block=Block(**words))
    network = build(Architecture(input=(3, 8, 8), stages=(stage,)), seed=1)
    return [module for module in network.modules() if isinstance(module, ResidualUnit)][1]


IMAGES = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(0)).relu()


def test_a_single_image_is_a_batch_of_a_training_whatever_becomes_a_vector() -> None:
    block = Block(kind="bottleneck", attention="split")
    split = Architecture(stages=(Stage(depth=1, width=8, block=block),))
    small = Architecture(input=(3, 2, 2), stages=(Stage(depth=1, width=8), Stage(depth=1, width=8)))
    for architecture in (split, small):
        network = build(architecture).train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        image = torch.randn(1, *architecture.input)
        network(image).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        vectors = [m for m in network.modules() if isinstance(m, VectorNorm)]
        assert vectors
        network(image.repeat(2, 1, 1, 1))
        after = network.state_dict()
        names = [name for name, module in network.named_modules() if module in vectors]
        assert all(after[f"{name}.num_batches_tracked"] == before[f"{name}.num_batches_tracked"] + 1 for name in names)


def test_a_highway_whose_gate_is_held_open_is_the_identity() -> None:
    highway = unit(kind="single", link="highway", norm="none", activation="relu_before_addition")
    gate = highway.gate[0]
    assert isinstance(gate, nn.Conv2d)
    assert gate.bias is not None
    assert torch.equal(gate.bias, torch.full_like(gate.bias, -2.0))
    with torch.no_grad():
        gate.bias.fill_(-1e6)
        assert torch.equal(highway(IMAGES), IMAGES)
        gate.bias.fill_(1e6)
        assert torch.equal(highway(IMAGES), highway.branch(IMAGES))


def test_he_2016s_gates_open_the_shortcut_where_their_bias_is_very_negative() -> None:
    with torch.no_grad():
        only = unit(gate="shortcut", activation="relu_before_addition").eval()
        only.gate[0].bias.fill_(-1e6)
        assert torch.equal(only(IMAGES), IMAGES + only.branch(IMAGES))
        exclusive = unit(gate="exclusive", activation="relu_before_addition").eval()
        exclusive.gate[0].bias.fill_(-1e6)
        assert torch.equal(exclusive(IMAGES), IMAGES)


def test_a_weighted_residual_starts_as_its_shortcut_and_stays_within_one() -> None:
    weighted = unit(activation="relu_before_addition", learned_gain=True)
    gain = weighted.gain[0]
    assert isinstance(gain, LearnedGain)
    assert torch.equal(weighted(IMAGES), IMAGES)
    with torch.no_grad():
        gain.value.fill_(-3.0)
    gain.project()
    assert -1 < gain.value.item() < -0.999


def test_a_shortcut_scaled_to_nothing_is_a_plain_block() -> None:
    scaled, plain = unit(shortcut_scale=0.0, shortcut="A").eval(), unit(link="plain").eval()
    plain.load_state_dict(scaled.state_dict())
    with torch.no_grad():
        assert torch.equal(scaled(IMAGES), plain(IMAGES))


def test_a_dual_path_adds_its_first_channels_and_joins_the_rest() -> None:
    stage = Stage(
        depth=2, width=16, stride=1, block=Block(kind="bottleneck", link="dual_path", growth_rate=4, activation="pre")
    )
    network = build(Architecture(input=(3, 8, 8), stages=(stage,)), seed=1).eval()
    dual = [module for module in network.modules() if isinstance(module, ResidualUnit)][1]
    x = torch.randn(2, 16 + 3 * 4, 8, 8)
    with torch.no_grad():
        out, branch = dual(x), dual.branch(x)
    assert out.shape[1] == 16 + 4 * 4
    assert torch.equal(out[:, :16], x[:, :16] + branch[:, :16])
    assert torch.equal(out[:, 16:28], x[:, 16:])
    assert torch.equal(out[:, 28:], branch[:, 16:])


def test_zero_init_starts_each_block_as_its_shortcut_and_still_learns() -> None:
    block = unit(zero_init=True).train()
    assert torch.equal(block(IMAGES), IMAGES)  # the images are not negative, so the last ReLU changes nothing
    block(IMAGES).square().sum().backward()
    last = block.branch[-1]
    assert isinstance(last, nn.BatchNorm2d)
    assert last.weight.grad is not None
    assert last.weight.grad.abs().max() > 0


def test_the_shortcut_of_a_preactivated_first_block_reads_what_the_stem_says() -> None:
    """Wide ResNet's code and timm's resnetv2_18 add the stem's raw output; He 2016 activates it first."""
    stage = Stage(depth=2, width=16, stride=1, block=Block(activation="pre"))
    networks = {}
    for words in ({}, {"first_shortcut": "raw"}):
        architecture = Architecture(input=(3, 8, 8), stem=Stem(**words), stages=(stage,))
        network = build(architecture, seed=1).eval()
        networks[words.get("first_shortcut", "activated")] = network
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for kind, network in networks.items():
            first, stem = network.stage1.block1, network.stem(x)
            if kind == "raw":
                assert torch.equal(first(stem), stem + first.branch(stem))
            else:
                shared = first.shared(stem)
                assert torch.equal(first(stem), shared + first.branch(shared))
    counts = [cost(network.architecture) for network in networks.values()]
    assert counts[0] == counts[1]
    assert digest(networks["raw"].architecture) != digest(networks["activated"].architecture)
    widens = Architecture(stem=Stem(first_shortcut="raw"), stages=(stage.model_copy(update={"width": 32}),))
    default = widens.model_copy(update={"stem": Stem()})
    assert digest(widens) == digest(default), "where the shape changes one pre-activation feeds both sides"


def test_a_raw_first_shortcut_is_timms_resnetv2_18() -> None:
    stem = Stem(kernel=7, stride=2, width=64, pool="max", norm=False, first_shortcut="raw")
    block = Block(activation="pre")
    stages = tuple(
        Stage(depth=2, width=64 * 2**index, stride=1 if index == 0 else 2, block=block) for index in range(4)
    )
    ours = build(Architecture(input=(3, 64, 64), classes=10, stem=stem, stages=stages, head=Head(classifier="conv")))
    theirs = timm.create_model("resnetv2_18", num_classes=10).eval()
    names = {"downsample.conv": "shortcut.conv1", "head.fc": "head.conv1", "stem.conv": "stem.conv1"}
    state = {}
    for key, tensor in theirs.state_dict().items():
        name = re.sub(r"^norm\.", "stage4.exit.norm1.", key)
        name = re.sub(r"stages\.(\d)\.blocks\.(\d)\.", lambda m: f"stage{int(m[1]) + 1}.block{int(m[2]) + 1}.", name)
        name = re.sub(r"(block\d)\.(conv|norm)(\d)", r"\1.branch.\2\3", name)
        for old, new in names.items():
            name = name.replace(old, new)
        state[name] = tensor
    for first in (f"stage{stage}.block1." for stage in (2, 3, 4)):  # where shapes change both sides share the norm
        for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            state[f"{first}shared.norm1.{kind}"] = state.pop(f"{first}branch.norm1.{kind}")
            state[f"{first}branch.norm1.{kind}"] = state.pop(f"{first}branch.norm2.{kind}")
    ours.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours.eval()(images), theirs(images), atol=1e-5)
