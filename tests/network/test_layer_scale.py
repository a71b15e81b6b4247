"""`layer_scale`: timm's LayerScale behind each branch of a ResNet."""

import timm
from timm.layers import LayerScale2d
from torch import nn

from archsearch import build, zoo
from archsearch.architecture.spec import Architecture
from tests.network.libraries import assert_equal_networks


def scaled() -> Architecture:
    network = zoo.get("resnet18")
    stages = tuple(
        stage.model_copy(update={"block": stage.block.model_copy(update={"layer_scale": 1e-4})})
        for stage in network.stages
    )
    return network.model_copy(update={"stages": stages, "input": (3, 64, 64)})


def test_timms_layer_scale_behind_each_branch_is_ours() -> None:
    theirs = timm.create_model("resnet18")
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        for block in stage:
            block.drop_path = LayerScale2d(block.bn2.num_features)
    assert_equal_networks(scaled(), theirs)


def test_it_starts_at_its_value() -> None:
    factors = [value for key, value in build(scaled()).named_parameters() if key.endswith("factors")]
    assert len(factors) == 8 and all((value == 1e-4).all() for value in factors)
    assert all(isinstance(value, nn.Parameter) for value in factors)
