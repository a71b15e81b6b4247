"""A known network as a point of a space: the inverse of drawing one."""

from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.api.spaces import Space, load_space
from archsearch.architecture.canonical import digest
from archsearch.reading.errors import InputError
from archsearch.space.choices import RecordedChoices
from archsearch.space.known import choices_of

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
SIZES = {
    "archsearch": 1, "name": "sizes",
    "data": {"name": "folder", "root": "nowhere", "size": {"choice": [16, "16x24", 32]}},
    "space": {"stages": 2, "depth": 1, "width": {"choice": [8, 16], "each": "stage"},
              "stem": {"width": {"same_as": "stage1.width"}}},
}  # fmt: skip


@pytest.mark.parametrize("file", [file for file in SPACES if file.stem != "regnet"], ids=lambda file: file.stem)
def test_every_network_of_a_space_has_the_choices_that_give_it(file: Path) -> None:
    space = load_space(file)
    for network in space.sample(30, seed=1):
        assert digest(space.architecture(RecordedChoices(choices_of(space, network)))) == digest(network)


def sizes() -> Space:
    from archsearch.space.datasets import DataFacts

    return load_space(SIZES, data=DataFacts(input=(3, 32, 32), classes=4, task=None))


def test_the_resolution_is_one_of_the_choices() -> None:
    space = sizes()
    found = set()
    for network in space.sample(12):
        choices = choices_of(space, network)
        assert digest(space.architecture(RecordedChoices(choices))) == digest(network)
        found.add(choices["data.size"])
    assert found == {16, "16x24", 32}


def test_other_images_and_classes_are_no_difference() -> None:
    space = load_space("resnet_cifar")
    network = space.sample(1)[0]
    other = network.model_copy(update={"input": (1, 64, 64), "classes": 3, "name": "mine"})
    assert choices_of(space, other) == choices_of(space, network)


@pytest.mark.parametrize(
    ("space", "name", "text"),
    [
        ("digits", "resnet20_cifar", "stage3.width = 64; allowed: 8, 16, 24, 32"),
        ("digits", "resnet18", "stages = 4; allowed: 2 to 3"),
        ("resnet_cifar", "resnet20_cifar", "allowed: shortcut B in stage 1, not A"),
        ("regnet", "resnet20_cifar", "linear widths"),
    ],
)
def test_a_network_that_is_none_of_the_space_is_refused_by_what_differs(space: str, name: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        choices_of(load_space(space), zoo.get(name))
