"""timm's arguments of a network: its model, with our weights under its names, computes the same."""

import pytest
import timm
import torch

from archsearch import zoo
from archsearch.export.fresh import fresh
from archsearch.export.timm import timm_arguments, timm_weights


@pytest.mark.parametrize("name", ["resnet18", "seresnet50", "densenet121", "resnetv2_50", "dpn68"])
def test_timm_builds_the_same_function(name: str) -> None:
    network = zoo.get(name).model_copy(update={"name": "mine", "input": (3, 64, 64), "classes": 7})
    said = timm_arguments(network)
    assert said is not None and said["arguments"] == {"num_classes": 7, "in_chans": 3}
    ours, theirs = fresh(network), timm.create_model(said["model"], pretrained=False, **said["arguments"]).eval()
    theirs.load_state_dict(timm_weights(ours.state_dict(), said))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        wanted = ours(images)
        assert (theirs(images) - wanted).abs().max() < 1e-4 * max(1.0, wanted.abs().max().item())


@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet50_v1", "highway10_16_mnist"])
def test_nothing_is_said_where_timm_has_no_such_network(name: str) -> None:
    assert timm_arguments(zoo.get(name)) is None
