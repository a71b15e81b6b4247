"""The literature's counts, exactly."""

import json
from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.reading.errors import InputError
from archsearch.zoo.errors import PUBLISHED
from archsearch.zoo.libraries import LIBRARIES

FILES = json.loads((Path(__file__).parent / "timm.json").read_text())
TIMM = {name: counts for networks in FILES.values() for name, counts in networks.items()}
REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())


def known(name: str) -> bool:
    try:
        zoo.get(name)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", REFERENCE)
def test_counts_families_and_errors_are_the_references(name: str) -> None:
    entry, expected = zoo.entry(name), REFERENCE[name]
    assert (entry.family, entry.published_error_percent) == (
        expected["family"],
        expected["published_error_percent"],
    )
    if "params" in expected:
        counted = cost(entry.architecture)
        assert counted.by_operator() == expected["fvcore_by_operator"]
        assert (counted.params, counted.macs, counted.flops) == tuple(
            expected[key] for key in ("params", "macs", "flops")
        )


@pytest.mark.parametrize("name", [name for name in TIMM if known(name)])
def test_counts_are_fvcores_of_timms_network_of_the_name(name: str) -> None:
    """scripts/timm_networks.py counted timm's. What both have is listed as timm's, and nothing else."""
    counted = cost(zoo.get(name))
    assert {"params": counted.params, **counted.by_operator()} == TIMM[name]
    assert name in LIBRARIES["timm"]


def test_networks_that_libraries_have_are_in_the_zoo() -> None:
    assert set(LIBRARIES["timm"]) <= set(TIMM)
    assert all(known(name) for names in LIBRARIES.values() for name in names)


@pytest.mark.parametrize(
    ("name", "other"),
    [("regnetx_400mf", "regnetx_004"), ("regnetx_1_6gf", "regnetx_016"), ("regnet_x_400mf", "regnetx_004_tv")],
)
def test_regnets_have_the_names_of_each_library(name: str, other: str) -> None:
    assert digest(zoo.get(name)) == digest(zoo.get(other))


def test_an_error_has_its_protocol_and_the_source_that_published_it() -> None:
    errors = {entry.name: entry.published for entry in zoo.entries()}
    assert all(error is None or (error.protocol and error.source) for error in errors.values())
    # 10 crops of He 2015's own network, 1 crop of torchvision's, 320 pixels of He 2016's: three protocols.
    assert errors["resnet50_v1"].protocol == "10 crops, 224 px" and errors["resnet50"].protocol == "1 crop, 224 px"
    assert errors["resnet50"].source == "torchvision, IMAGENET1K_V1"
    assert errors["preact_resnet152"].protocol == "1 crop, 320 px"
    # Wide ResNet-40-10 was published with dropout alone, DPN-107 after another pretraining.
    assert errors["wrn40_10_cifar"] is None and errors["wrn40_10_dropout_cifar"].percent == 3.8
    assert {block.dropout for block in (stage.block for stage in zoo.get("wrn40_10_dropout_cifar").stages)} == {0.3}
    comparable = {name for name, error in errors.items() if error and error.protocol == errors["dpn92"].protocol}
    assert {"dpn68", "dpn98", "dpn131", "resnet50"} <= comparable and "dpn107" not in comparable


def test_a_published_error_is_of_a_network_of_the_list() -> None:
    assert set(PUBLISHED) <= set(zoo.names())


def test_torchvisions_errors_are_those_of_its_weights() -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = {name: error.percent for name, error in PUBLISHED.items() if error.source.startswith("torchvision")}
    assert len(theirs) >= 3
    for name, error in theirs.items():
        metrics = models.get_model_weights(name)["IMAGENET1K_V1"].meta["_metrics"]
        assert error == pytest.approx(100 - metrics["ImageNet-1K"]["acc@1"], abs=0.006), name


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7), (1202, 19.4)]
)
def test_parameters_are_those_of_he_2015s_table_6(depth: int, millions: float) -> None:
    params = cost(zoo.get(f"resnet{depth}_cifar")).params
    assert round(params / 1e6, 2 if depth < 100 else 1) == millions


def test_names_beyond_the_list_follow_the_families_rules() -> None:
    # Each block more adds the same: from 3 blocks a stage (ResNet-20) and 9 (ResNet-56) to 12.
    three, nine = (REFERENCE[f"resnet{depth}_cifar"]["params"] for depth in (20, 56))
    assert cost(zoo.get("resnet74_cifar")).params == nine + (nine - three) // 2
    assert zoo.get("wrn22_6_cifar").stages[2].width == 384
    assert zoo.get("densenet_bc64_16_cifar").stem.width == 32


@pytest.mark.parametrize("name", ["resnet51", "resnet21_cifar", "wrn27_10_cifar", "densenet_bc101_12_cifar", ""])
def test_an_unknown_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(InputError) as error:
        zoo.get(name)
    assert error.value.problems[0].allowed


def test_a_near_name_is_offered() -> None:
    with pytest.raises(InputError, match="resnet50"):
        zoo.get("resnet-50")


def test_every_listed_network_has_its_own_digest() -> None:
    digests = {}
    for entry in zoo.entries():
        digests.setdefault(digest(entry.architecture), []).append(entry.name)
    # He 2016's 1x1 conv shortcut is option C: two names in the literature, one network.
    same = [sorted(names) for names in digests.values() if len(names) > 1]
    assert same == [["resnet110_option_c_cifar", "resnet110_shortcut_conv1x1_cifar"]]


def test_names_that_follow_a_rule_have_1_to_1024_blocks_a_stage() -> None:
    assert cost(zoo.get("resnet6146_cifar")).layers > 6000  # 1,024 basic blocks in each of three stages
    for name in ("resnet6152_cifar", "resnet2_cifar"):
        with pytest.raises(InputError, match="no such depth"):
            zoo.get(name)
