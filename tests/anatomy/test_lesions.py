"""Lesions: exact scores, draws by their seed, Kendall's tau, and the smaller network that follows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from archsearch.anatomy.lesions import Lesions, Plan, Score, block_rows, kendalls_tau, lesions, scored
from archsearch.anatomy.pruning import keeps_probabilities, pruned, removable, without
from archsearch.anatomy.steps import Row
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture, Survival
from archsearch.training.losses import Loss
from tests.anatomy.small import WORDS, network_of, small

LOSS = Loss(task="single_label")
GENERATOR = torch.Generator().manual_seed(1)
BATCHES = [
    (torch.randn(size, 3, 8, 8, generator=GENERATOR), torch.randint(0, 10, (size,), generator=GENERATOR))
    for size in (40, 24)
]


def test_a_score_is_that_of_all_images_however_they_are_batched() -> None:
    row = Row.of(network_of(small()))
    whole = torch.cat([images for images, _ in BATCHES]), torch.cat([labels for _, labels in BATCHES])
    (score,) = scored(row, [row.whole], BATCHES, LOSS)
    (together,) = scored(row, [row.whole], [whole], LOSS)
    assert score.error == together.error and np.isclose(score.loss, together.loss)
    with torch.inference_mode():
        outputs = dict(row.outputs([row.whole], whole[0]))[0]
    assert score.error == (outputs.argmax(1) != whole[1]).float().mean().item()
    assert np.isclose(score.loss, torch.nn.functional.cross_entropy(outputs, whole[1]).item())


def test_every_lesion_is_scored_and_the_seed_decides_which() -> None:
    row = Row.of(network_of(small()))
    results = [lesions(row, lambda: BATCHES, LOSS, Plan(draws=3, seed=seed)) for seed in (5, 5, 6)]
    result = results[0]
    assert results[1] == result and results[2].deleted != result.deleted
    assert results[2].single == result.single and results[2].whole == result.whole
    assert [number for number, _ in result.single] == list(row.blocks)
    assert [len(chosen) for chosen, _ in result.deleted] == [count for count in range(1, 7) for _ in range(3)]
    everything = result.deleted[-1]
    assert everything[0] == row.blocks
    assert everything[1] == scored(row, [row.without(row.blocks)], BATCHES, LOSS)[0]
    assert len(result.reordered) == 5 * 3 and all(-1 <= tau <= 1 for tau, _ in result.reordered)
    stage, score = result.emptied[1]
    later = [n for n in row.blocks if row.steps[n].stage == 2 and row.steps[n].block > 1]
    assert stage == 2 and score == scored(row, [row.without(later)], BATCHES, LOSS)[0]
    assert result.work[0] < 0.7 * result.work[1]
    rows = block_rows(row, result)
    assert [block["path"] for block in rows][:2] == ["stage1.block1", "stage1.block2"]
    assert [block["changes_shape"] for block in rows] == [False, False, False, True, False, False]
    assert rows[3]["error"] == result.single[3][1].error and rows[3]["deleted"]


def test_a_plain_networks_down_sampling_block_cannot_be_deleted() -> None:
    row = Row.of(network_of(small(link="plain")))
    rows = block_rows(row, lesions(row, lambda: BATCHES, LOSS, Plan(draws=1)))
    assert [block["deleted"] for block in rows] == [True, True, True, False, True, True]
    assert rows[3]["error"] is None and np.isnan(rows[3]["loss"])


@pytest.mark.parametrize("length", [2, 3, 5])
def test_kendalls_tau_is_scipys(length: int) -> None:
    from scipy.stats import kendalltau

    for order in itertools.islice(itertools.permutations(range(length)), 60):
        assert np.isclose(kendalls_tau(order), kendalltau(range(length), order).statistic)


def scores_that_favour(row: Row, harmless: set[int]) -> Lesions:
    whole = scored(row, [row.whole], BATCHES, LOSS)[0]
    single = tuple(
        (n, whole if n in harmless else Score(loss=whole.loss + 1, error=(whole.error or 0) + 0.1)) for n in row.blocks
    )
    return Lesions(whole=whole, single=single, deleted=(), reordered=(), emptied=(), work=(0, 0))


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_the_network_without_some_blocks_is_the_whole_one_with_lesions(words: dict[str, object]) -> None:
    network = network_of(small(**words))
    row, images = Row.of(network), BATCHES[0][0]
    free = removable(row)
    assert bool(free) == (words["link"] in ("plain", "residual") and "gate" not in words)
    for count in range(1, len(free) + 1):
        for removed in itertools.combinations(free, count):
            smaller = without(network, row, removed)
            with torch.inference_mode():
                ((_, scores),) = row.outputs([row.without(removed)], images)
                torch.testing.assert_close(smaller(images), scores)
            assert cost(smaller.architecture).params < cost(network.architecture).params


def test_what_stays_behind_a_deleted_branch_keeps_a_block() -> None:
    assert removable(Row.of(network_of(small(activation="norm_after_addition")))) == []
    assert removable(Row.of(network_of(small(shortcut="C")))) == []
    assert removable(Row.of(network_of(small(shortcut_scale=0.5)))) == []
    row = Row.of(network_of(small(activation="pre")))
    assert [row.steps[number].path for number in removable(row)] == [
        "stage1.block2", "stage1.block3", "stage2.block2", "stage2.block3",
    ]  # fmt: skip


def test_as_many_blocks_go_as_the_tolerance_allows() -> None:
    network = network_of(small())
    row = Row.of(network)
    result = scores_that_favour(row, {row.blocks[1], row.blocks[4]})
    everything = pruned(network, row, result, lambda: BATCHES, LOSS, tolerance=1.0)
    assert everything is not None and everything.removed == tuple(removable(row))
    assert [stage.depth for stage in everything.network.architecture.stages] == [1, 1]
    assert everything.score == scored(row, [row.without(everything.removed)], BATCHES, LOSS)[0]
    assert pruned(network, row, result, lambda: BATCHES, LOSS, tolerance=-1.0) is None


def test_probabilities_that_follow_from_the_depth_keep_all_blocks() -> None:
    plain = small()
    linear = plain.model_copy(update={"survival": Survival(schedule="linear")})
    assert keeps_probabilities(linear) and not keeps_probabilities(plain)
    assert not keeps_probabilities(plain.model_copy(update={"survival": Survival(schedule="linear", rescale="train")}))
    assert not keeps_probabilities(plain.model_copy(update={"survival": Survival(schedule="uniform")}))
    assert keeps_probabilities(plain.model_copy(update={"survival": Survival(schedule="count", blocks=3)}))
    network = network_of(Architecture.from_dict(linear.to_dict()))
    row = Row.of(network)
    result = scores_that_favour(row, set(row.blocks))
    assert pruned(network, row, result, lambda: BATCHES, LOSS, tolerance=1.0) is None
