"""The rule on when a fine-tuned pretrained network is likely to beat a search, over a table of sets, sizes and budgets;
and the published networks that it is asked about."""

from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.architecture.cost import cost
from archsearch.search.foretelling.pretraining import advice, within
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import load_space
from archsearch.space.pretraining import Case, objection
from archsearch.space.space import SearchSpace
from archsearch.zoo.libraries import LIBRARIES
from archsearch.zoo.pretrained import pretrained

PHOTOS = """\
archsearch: 1
name: photos
data: {name: cifar10}
space: {stem: {width: 8}, stages: 2, depth: {int: [1, 2]}, width: 8}
training: {recipe: none}
"""


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        # 500 and 5,000 photos of 10 classes, as of STL-10 (96 pixels), pets or flowers (224); 5 M parameters or more
        (Case(fit=3, channels=3, side=96, per_class=500), None),
        (Case(fit=3, channels=3, side=64, per_class=50), None),
        (Case(fit=1, channels=3, side=224, per_class=20), None),
        (Case(fit=3, channels=3, side=96, per_class=None), None),
        # below what any published network of the family has
        (Case(fit=0, channels=3, side=224, per_class=50), "no pretrained network fits the budget"),
        # X-rays and scans; spectra of satellites: with few images what was learned from photos helps
        (Case(fit=3, channels=1, side=224, per_class=50), None),
        (Case(fit=3, channels=1, side=224, per_class=None), "these images are grey"),
        (Case(fit=3, channels=1, side=224, per_class=500), "with 500 training images of each class a network learns"),
        (Case(fit=3, channels=13, side=64, per_class=500), "these images have 13 channels; with 500"),
        # digits, Fashion-MNIST, CIFAR-10
        (Case(fit=3, channels=1, side=8, per_class=100), "they were trained at 224 pixels, and these images have 8"),
        (Case(fit=3, channels=1, side=28, per_class=6_000), "these images are grey; with 6,000"),
        (Case(fit=3, channels=3, side=32, per_class=50), None),
        (Case(fit=3, channels=3, side=32, per_class=5_000), "these images have 32; with 5,000"),
        # ImageNet's own number of images, and more
        (Case(fit=3, channels=3, side=224, per_class=6_000), "a network learns as much from nothing"),
        # a parent of a person's own, trained at the images' size
        (Case(fit=1, channels=3, side=32, per_class=50, trained_at=32), None),
        (Case(fit=1, channels=1, side=28, per_class=50, trained_at=28, trained_channels=1), None),
        (Case(fit=1, channels=3, side=8, per_class=1_000, trained_at=32), "these images have 8; with 1,000"),
        (Case(fit=1, channels=3, side=3, per_class=50, trained_at=32), "trained at 32 pixels, and these images have 3"),
        # a slice of it
        (Case(fit=1, channels=3, side=32, per_class=250, trained_at=32, kept=0.15), None),
        (
            Case(fit=1, channels=3, side=32, per_class=1_000, trained_at=32, kept=0.15),
            "they are slices of 15% of the FLOPs",
        ),
        (Case(fit=1, channels=3, side=32, per_class=1_000, trained_at=32, kept=0.5), "slices of 50%"),
    ],
)
def test_the_rule_on_a_table_of_sets_sizes_and_budgets(case: Case, reason: str | None) -> None:
    found = objection(case)
    assert found is None if reason is None else found is not None and reason in found


def test_each_published_network_has_a_name_that_its_library_and_the_zoo_know() -> None:
    rows = pretrained()
    assert len(rows) > 100 and [row.params for row in rows] == sorted(row.params for row in rows)
    assert all(row.network in LIBRARIES[row.source.partition(":")[0]] for row in rows)
    assert len({row.network for row in rows}) == len(rows)
    for row in (rows[0], *(row for row in rows if row.network == "resnet18")):
        counted = cost(zoo.get(row.network))
        assert (row.params, row.macs) == (counted.params, counted.macs)
    resnet18 = next(row for row in rows if row.network == "resnet18")
    assert resnet18.source == "torchvision:ResNet18_Weights.IMAGENET1K_V1"
    assert rows[0].source == "timm:regnetx_002.pycls_in1k"


def photos(folder: Path, budget: str) -> SearchSpace:
    file = folder / "photos.yaml"
    file.write_text(f"{PHOTOS}budget: {budget}\n")
    return load_space(file, data=DataFacts(input=(3, 64, 64), classes=10))


def test_what_fits_is_counted_at_the_images_size_and_with_their_classes(tmp_path: Path) -> None:
    space = photos(tmp_path, "{params: {max: 5M}}")
    found = advice(space, None, 2_000)
    assert (found["fit"], found["of"], found["likely"]) == (5, len(pretrained()), True)
    assert found["smallest"] == {"name": "timm:regnetx_002.pycls_in1k", "params": 2_319_482, "flops": 16_576_416}
    assert found["largest"]["name"] == "timm:resnet10t.c3_in1k" and found["largest"]["params"] == 4_927_618
    assert found["sentence"] == (
        "5 published networks fit this budget at 3x64x64 (the smallest: timm:regnetx_002.pycls_in1k, 2.32M parameters "
        "and 16.6M FLOPs); one of them is likely to beat a search: fine-tune them too, after it"
    )
    assert found["command"].startswith(
        "archsearch confirm photos --pretrained timm:resnet10t.c3_in1k,torchvision:RegNet"
    )
    narrow = photos(tmp_path, "{params: {max: 5M}, flops: {max: 16M}}")
    assert advice(narrow, None, 2_000)["sentence"] == (
        f"none of {len(pretrained())} published networks fits this budget at 3x64x64 (the smallest: "
        "timm:regnetx_002.pycls_in1k, 2.32M parameters and 16.6M FLOPs): search"
    )
    many = advice(space, None, 50_000)
    assert (many["likely"], many["command"]) == (False, None) and "5,000 training images of each class" in many[
        "sentence"
    ]


def test_none_that_fits_is_passed_over_by_its_lower_limits(tmp_path: Path) -> None:
    """Against counting all of them, at bounds that some networks just keep."""
    for budget in ("{params: {max: 2319482}}", "{flops: {max: 16576416}}", "{macs: {max: 40M}, params: {max: 9M}}"):
        space = photos(tmp_path, budget)
        bounds = {name: bound.high for name, bound in space.budget.bounds()}
        expected = set()
        for row in pretrained()[:40]:
            network = zoo.get(row.network).model_copy(update={"input": space.input, "classes": space.classes})
            counted = cost(network).to_dict()
            if all(counted[name] <= (high or 0) for name, high in bounds.items()):
                expected.add(row.source)
        assert expected and {network.source for network in within(space)} == expected
