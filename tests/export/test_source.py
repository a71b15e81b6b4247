"""model.py, written from the plan: the same function, the same names, and source that a person would have written."""

import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from archsearch import build, zoo
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage
from archsearch.export.code import literal
from archsearch.export.fresh import fresh
from archsearch.export.source import source
from archsearch.network import layers, units
from archsearch.network.build import skeleton
from tests.sampling import sampled

SAMPLED = sampled(40, seed=11)
FAMILIES = (
    "resnet20_cifar", "preact_resnet164_cifar", "densenet_bc100_12_cifar", "stochastic_depth_resnet110_cifar",
    "weighted_resnet118_cifar", "highway10_16_mnist", "resnet110_shortcut_exclusive_gate_cifar", "dpn68", "dpn92",
    "cbam_resnet50", "seresnext50_32x4d", "resnetv2_50", "wrn16_4_cifar", "resnet18_option_a",
)  # fmt: skip


def executed(text: str) -> types.ModuleType:
    module = types.ModuleType("model")
    exec(compile(text, "model.py", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("number", range(len(SAMPLED)))
def test_sampled_networks_compute_the_same_in_both_modes(number: int) -> None:
    architecture = SAMPLED[number]
    images = torch.randn(3, *architecture.input, generator=torch.Generator().manual_seed(number))
    with torch.no_grad():
        for seed in (number, number + 100, number + 200):  # a head of few channels may have all its ReLUs off
            ours, theirs = fresh(architecture, seed=seed), executed(source(architecture)).build()
            wanted = ours(images)
            if wanted.std() > 1e-6:
                break
        assert wanted.std() > 1e-6, "scores that say nothing"
        theirs.load_state_dict(ours.state_dict())
        torch.testing.assert_close(theirs.eval()(images), wanted, atol=1e-5, rtol=1e-5)
    found = []
    with torch.random.fork_rng(), torch.no_grad():
        for network in (ours, theirs):
            torch.manual_seed(number)
            found.append(network.train()(images))
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-4)


def names_and_shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_names_and_shapes_are_those_of_the_module(name: str) -> None:
    with torch.device("meta"):
        theirs = executed(source(zoo.get(name))).Network()
    assert names_and_shapes(theirs) == names_and_shapes(skeleton(zoo.get(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_names_and_shapes_of_the_whole_zoo(name: str) -> None:
    test_names_and_shapes_are_those_of_the_module(name)


def test_ruff_has_nothing_to_say_of_it(tmp_path: Path) -> None:
    networks = {name: zoo.get(name) for name in FAMILIES} | {f"n{n}": each for n, each in enumerate(SAMPLED)}
    for name, network in networks.items():
        (tmp_path / f"{name}.py").write_text(source(network))
    words = ["--isolated", "--line-length", "120", str(tmp_path)]
    rules = ["--select", "E,F,W,I,B,UP,SIM,RUF,C4,RET"]
    for command in (["check", *rules, *words], ["format", "--check", *words]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_depth_is_a_loop_and_units_of_one_form_share_a_class() -> None:
    short, long = (source(zoo.get(name)).splitlines() for name in ("resnet20_cifar", "resnet1202_cifar"))
    assert abs(len(long) - len(short)) <= 3
    assert len(source(zoo.get("densenet_bc250_24_cifar")).splitlines()) < 130
    assert sum(line.startswith("class ") for line in source(zoo.get("resnet50")).splitlines()) == 2


AS_WRITTEN = """\
def preact_residual_bottleneck_entry(
    channels: int,
    inner: int,
    out: int,
    shortcut: nn.Module | None = None,
) -> ResidualUnit:
    return ResidualUnit(
        shared=named(norm1=nn.BatchNorm2d(channels), relu1=nn.ReLU(inplace=True)),
        branch=named(
            conv1=nn.Conv2d(channels, inner, 1, bias=False),
            norm1=nn.BatchNorm2d(inner),
            relu1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(inner, inner, 3, stride=2, padding=1, bias=False),
            norm2=nn.BatchNorm2d(inner),
            relu2=nn.ReLU(inplace=True),
            conv3=nn.Conv2d(inner, out, 1, bias=False),
        ),
        shortcut=shortcut,
    )
---
            block1=preact_residual_bottleneck_entry(256, 128, 512, shortcut=projection(256, 512, stride=2)),
            **{f"block{n}": preact_residual_bottleneck(512, 128) for n in range(2, 5)},
---
        self.head = named(
            globalpool1=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            linear1=nn.Linear(2048, 1000),
        )
---
    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
        return self.head(x)
"""


def test_blocks_stages_and_the_network_as_a_person_reads_them() -> None:
    text = source(zoo.get("preact_resnet50"))
    for part in AS_WRITTEN.split("---\n"):
        assert part in text
    assert "        self.stem = named(\n            conv1=nn.Conv2d(3, 16, 3," in source(zoo.get("resnet20_cifar"))
    assert "        after=nn.ReLU(),\n" in source(zoo.get("resnet20_cifar")), "a layer without weights needs no name"
    assert "        self.head = named(\n            globalpool1=nn.AdaptiveAvgPool2d(1),\n" in source(zoo.get("dpn68"))
    squeezing = source(zoo.get("seresnext50_32x4d"))
    assert "def projection(channels: int, out: int, stride: int = 1) -> nn.Module:" in squeezing
    assert "block1=residual_bottleneck(64, 128, 256, 16, shortcut=projection(64, 256))," in squeezing
    assert re.findall(r"^    (\w+): ", squeezing, re.MULTILINE)[:6] == [
        "channels", "inner", "out", "hidden", "stride", "shortcut",
    ]  # fmt: skip
    dense = source(zoo.get("densenet_bc100_12_cifar"))
    assert '**{f"block{n + 1}": preact_dense_layer(108 + 12 * n) for n in range(16)},' in dense
    dropped = source(zoo.get("stochastic_depth_resnet110_cifar"))
    assert '**{f"block{n + 2}": residual_block(32, 32, block=n + 20) for n in range(17)},' in dropped


def test_classes_stand_in_the_file_as_in_archsearch() -> None:
    for name, expected in (("resnet20_cifar", [layers.ZeroPadShortcut, units.ResidualUnit]),
                           ("seresnext50_32x4d", [layers.Reweighted, units.ResidualUnit]),
                           ("dpn68", [units.ResidualUnit, units.DualPathUnit])):  # fmt: skip
        text = source(zoo.get(name))
        assert re.findall(r"^class (\w+)", text, re.MULTILINE) == [*(each.__name__ for each in expected), "Network"]
        assert all(inspect.getsource(each) in text for each in expected)


def test_no_word_of_a_user_becomes_source() -> None:
    name = '"""\nimport os; os.abort()\n"""'
    network = zoo.get("resnet20_cifar").model_copy(update={"name": name})
    assert source(network) == source(zoo.get("resnet20_cifar"))
    for value in ("1; import os", None, [1], float("nan"), True and "x"):
        with pytest.raises(TypeError):
            literal(value)


def test_writing_it_draws_nothing_from_torchs_global_random_state() -> None:
    before = torch.get_rng_state()
    source(zoo.get("densenet40_12_cifar"))
    assert torch.equal(before, torch.get_rng_state())


def test_new_weights_start_as_archsearchs_do() -> None:
    block = Block(zero_init=True, gate="shortcut", gate_bias=-3.0)
    gained = Block(learned_gain=True)
    network = Architecture(stages=(Stage(depth=2, width=32, block=block), Stage(depth=1, width=32, block=gained)))
    state = executed(source(network)).build().state_dict()
    assert (state["stage1.block1.gate.conv1.bias"] == -3).all()
    assert (state["stage1.block2.branch.norm2.weight"] == 0).all()
    assert state["stage2.block1.gain.gain1.value"] == 0
    assert state["stem.conv1.weight"].std().item() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.15)


@pytest.mark.parametrize("name", ["resnext29_8x64d_cifar", "densenet40_12_cifar", "regnetx_002"])
def test_new_weights_of_the_source_are_spread_as_those_of_a_built_network(name: str) -> None:
    architecture = zoo.get(name)
    namespace: dict[str, object] = {}
    exec(source(architecture), namespace)
    torch.manual_seed(0)
    written = namespace["build"]().state_dict()  # type: ignore[operator]
    built = build(architecture).state_dict()
    assert written.keys() == built.keys()
    for key, tensor in built.items():
        if tensor.ndim == 4 and tensor.numel() > 2000:
            assert written[key].std().item() == pytest.approx(tensor.std().item(), rel=0.2), key
