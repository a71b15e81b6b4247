"""norm_eps: one word for every norm, and no trace where it is the usual one."""

import torch

from archsearch import build, zoo
from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture, Stage
from tests.sampling import sampled


def test_every_norm_has_it_wherever_it_stands() -> None:
    cbam = Architecture(stages=(Stage(depth=2, width=16, block=Block(attention="cbam", activation="pre")),))
    for architecture in (cbam, *sampled(40)):
        network = build(architecture.model_copy(update={"norm_eps": 0.01}))
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        usual = [module for module in build(architecture).modules() if isinstance(module, torch.nn.BatchNorm2d)]
        assert {norm.eps for norm in norms} <= {0.01} and {norm.eps for norm in usual} <= {1e-5}
        assert len(norms) == len(usual)


def test_it_counts_in_the_digest_but_for_the_usual_one() -> None:
    resnet = zoo.get("resnet20_cifar")
    assert digest(resnet.model_copy(update={"norm_eps": 1e-5})) == "e752cec463f2fc2b"
    assert digest(resnet.model_copy(update={"norm_eps": 1e-3})) != digest(resnet)


def test_it_is_written_and_read() -> None:
    assert zoo.get("dpn68").norm_eps == 1e-3
    assert Architecture.from_yaml(zoo.get("dpn68").to_yaml()) == zoo.get("dpn68")
