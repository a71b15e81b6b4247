"""A network as a row of steps: the same outputs as the network, what is shared is computed once, lesions are exact."""

from __future__ import annotations

import pytest
import torch

from archsearch import zoo
from archsearch.anatomy.steps import Row
from archsearch.architecture.cost import cost
from archsearch.network import build
from archsearch.network.units import joined
from tests.anatomy.small import WORDS, network_of, small

NETWORKS = ("resnet20_cifar", "preact_resnet110_cifar", "plain20_cifar", "densenet40_12_cifar")


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_a_row_computes_what_the_network_does_and_counts_all_of_it(words: dict[str, object]) -> None:
    architecture = small(**words)
    network = network_of(architecture)
    row, images = Row.of(network), torch.randn(5, 3, 8, 8)
    with torch.inference_mode():
        ((number, scores),) = row.outputs([row.whole], images)
        assert number == 0 and torch.equal(scores, network(images))
    assert sum(step.flops for step in row.steps) == cost(architecture).flops
    assert sum(step.params for step in row.steps) == cost(architecture).params
    assert row.work([row.whole]) == (cost(architecture).flops,) * 2
    assert [row.steps[number].block for number in row.blocks] == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_zoos_networks_are_rows(name: str) -> None:
    architecture = zoo.get(name)
    row = Row.of(build(architecture))
    assert sum(step.flops for step in row.steps) == cost(architecture).flops


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_a_block_without_its_branch_is_its_shortcut(words: dict[str, object]) -> None:
    network = network_of(small(**words))
    row, images = Row.of(network), torch.randn(5, 3, 8, 8)
    for number in row.blocks:
        step = row.steps[number]
        assert step.has_shortcut == (words["link"] != "plain")
        if not step.can_be_cut:
            assert step.changes_shape and words["link"] == "plain"
            continue
        with torch.inference_mode():
            ((_, scores),) = row.outputs([row.without([number])], images)
            expected = images
            for other, part in enumerate(row.steps):
                if other != number:
                    expected = part.module(expected)
                elif step.has_shortcut:
                    unit = part.module
                    s = unit.shared(expected)
                    silent = torch.zeros_like(unit.branch(s))
                    # what a gate passes of an output of zeros is zeros: (1 - g) h + g 0
                    expected = unit.after(joined(unit, s, silent))
            torch.testing.assert_close(scores, expected)


def test_what_variants_begin_with_alike_is_computed_once() -> None:
    network = network_of(small())
    row = Row.of(network)
    variants = [row.whole, *(row.without([number]) for number in row.blocks), row.whole[:3]]
    calls = []
    for number, step in enumerate(row.steps):
        step.module.register_forward_hook(lambda *_, number=number: calls.append(number))
    images = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        outputs = dict(row.outputs(variants, images))
    assert sorted(outputs) == list(range(len(variants))) and outputs[len(variants) - 1].shape == (2, 4, 8, 8)
    assert calls.count(0) == 1, "the stem"
    # the whole network computes each block, and so does every variant that lacks an earlier one
    assert [calls.count(number) for number in row.blocks] == [1, 2, 3, 4, 5, 6]
    shared, alone = row.work(variants)
    once = sum(step.flops * calls.count(number) for number, step in enumerate(row.steps))
    cut = sum(row.steps[number].flops - row.steps[number].branch_flops for number in row.blocks)
    assert shared == once + cut and alone > 1.5 * shared


def test_blocks_that_are_alike_can_change_places() -> None:
    row = Row.of(network_of(small()))
    assert [[row.steps[number].path for number in group] for group in row.alike()] == [
        ["stage1.block1", "stage1.block2", "stage1.block3"],
        ["stage2.block2", "stage2.block3"],
    ]
    assert Row.of(network_of(small(link="dense", growth_rate=3, activation="pre"))).alike() == []
    order = list(range(len(row.steps)))
    order[1], order[3] = order[3], order[1]
    images = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        ((_, scores),) = row.outputs([row.in_order(order)], images)
        x = images
        for number in order:
            x = row.steps[number].module(x)
    assert torch.equal(scores, x)
