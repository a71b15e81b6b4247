"""Blocks of a trained network deleted or reordered at test time (Veit et al. 2016, arXiv:1605.06431, section 4).

To delete a residual block is to leave its shortcut alone; what stands behind the addition stays. A plain block is left
out, which only one that keeps the shape can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsearch.anatomy.steps import Row, Step, Variant
from archsearch.training.losses import Loss

Batches = Iterable[tuple[Tensor, Tensor]]  # images (N, C, H, W), normalised; labels
Progress = Callable[[int, int], None]  # (batches done, of how many)

LEVELS = 20  # numbers of deleted blocks, and of swapped pairs, at most


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of a network, whole or not, on images: their mean loss, and of single_label the share that is wrong."""

    loss: float
    error: float | None

    @property
    def value(self) -> float:
        """The error, or the loss where there is none."""
        return self.loss if self.error is None else self.error

    def to_dict(self) -> dict[str, float | None]:
        """Plain JSON values."""
        return {"loss": self.loss, "error": self.error}


@torch.inference_mode()
def scored(row: Row, variants: Sequence[Variant], batches: Batches, loss: Loss) -> list[Score]:
    """Each variant on all images, in eval mode as the modules are; what variants share is computed once a batch."""
    losses, wrong, count = np.zeros(len(variants)), np.zeros(len(variants)), 0
    for images, labels in batches:
        for number, scores in row.outputs(variants, images):
            losses[number] += loss(scores, labels).item() * len(labels)
            if loss.task == "single_label":
                wrong[number] += (scores.argmax(1) != labels).sum().item()
        count += len(labels)
    single = loss.task == "single_label"
    return [
        Score(loss=float(one), error=float(errors) if single else None)
        for one, errors in zip(losses / count, wrong / count, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is deleted and reordered: each block; `draws` random sets of blocks for each of up to `LEVELS` numbers, from
    1 to all; and so many random swaps of pairs. Draws follow from `seed`."""

    draws: int = 10
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Lesions:
    """The scores: of the whole network, and of each lesion with what it was. `work`: (FLOPs an image, FLOPs if each
    lesion were evaluated from the image on)."""

    whole: Score
    single: tuple[tuple[int, Score], ...]  # (number of the step, score)
    deleted: tuple[tuple[tuple[int, ...], Score], ...]  # (numbers of the steps, score)
    reordered: tuple[tuple[float, Score], ...]  # (Kendall's tau of the blocks' order with their own, score)
    emptied: tuple[tuple[int, Score], ...]  # (stage, of which all blocks but the first are deleted, score)
    work: tuple[int, int]


def lesions(row: Row, batches: Callable[[], Batches], loss: Loss, plan: Plan) -> Lesions:
    """Deletes and reorders blocks as planned; `batches` gives the images anew."""
    draws = np.random.default_rng(plan.seed)
    cuttable = [number for number in row.blocks if row.steps[number].can_be_cut]
    sets = _sets(cuttable, plan.draws, draws)
    orders = _orders(row, plan.draws, draws)
    stages = _later_blocks(row, cuttable)
    variants = [
        row.whole,
        *(row.without([number]) for number in cuttable),
        *(row.without(chosen) for chosen in sets),
        *(row.in_order(order) for order in orders),
        *(row.without(later) for later in stages.values()),
    ]
    scores = iter(scored(row, variants, batches(), loss))
    return Lesions(
        whole=next(scores),
        single=tuple((number, next(scores)) for number in cuttable),
        deleted=tuple((chosen, next(scores)) for chosen in sets),
        reordered=tuple((kendalls_tau([n for n in order if n in row.blocks]), next(scores)) for order in orders),
        emptied=tuple((stage, next(scores)) for stage in stages),
        work=row.work(variants),
    )


def kendalls_tau(order: Sequence[int]) -> float:
    """Kendall's rank correlation of an order with the rising one, of distinct numbers: 1 less four times the share of
    pairs in the wrong order, among n (n - 1)."""
    ranks = np.asarray(order)
    inversions = sum(int((ranks[number + 1 :] < rank).sum()) for number, rank in enumerate(ranks))
    return 1 - 4 * inversions / (len(ranks) * (len(ranks) - 1)) if len(ranks) > 1 else 1.0


def _levels(most: int) -> list[int]:
    """Up to LEVELS numbers from 1 to `most`, evenly."""
    return sorted({round(value) for value in np.linspace(1, most, min(most, LEVELS))}) if most else []


def _sets(cuttable: Sequence[int], draws: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    return [
        tuple(sorted(generator.permutation(cuttable)[:count].tolist()))
        for count in _levels(len(cuttable))
        for _ in range(draws)
    ]


def _orders(row: Row, draws: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Orders in which pairs of blocks that are alike have changed places, one after another."""
    groups = row.alike()
    if not groups:
        return []
    sizes = np.array([len(group) * (len(group) - 1) for group in groups], float)
    orders = []
    for count in _levels(sum(map(len, groups))):
        for _ in range(draws):
            order = list(range(len(row.steps)))
            for _ in range(count):
                group = groups[generator.choice(len(groups), p=sizes / sizes.sum())]
                first, second = generator.choice(group, 2, replace=False)
                order[first], order[second] = order[second], order[first]
            orders.append(tuple(order))
    return orders


def _later_blocks(row: Row, cuttable: Sequence[int]) -> dict[int, list[int]]:
    """Of each stage with several blocks all but its first."""
    stages: dict[int, list[int]] = {}
    for number in cuttable:
        if row.steps[number].block > 1:
            stages.setdefault(row.steps[number].stage, []).append(number)
    return stages


def block_rows(row: Row, result: Lesions) -> list[dict[str, Any]]:
    """Each block with what its deletion does, as JSON; one that cannot be deleted has no score."""
    scores = dict(result.single)
    return [_block(row.steps[number], scores.get(number)) for number in row.blocks]


def _block(step: Step, score: Score | None) -> dict[str, Any]:
    return {
        "path": step.path,
        "stage": step.stage,
        "block": step.block,
        "changes_shape": step.changes_shape,
        "flops": step.flops,
        "branch_flops": step.branch_flops,
        "params": step.params,
        **(Score(loss=float("nan"), error=None).to_dict() if score is None else score.to_dict()),
        "deleted": score is not None,
    }
