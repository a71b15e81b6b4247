"""What follows from lesions for a network: the blocks that it can do without, and the network without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from archsearch.anatomy.lesions import Batches, Lesions, Score, scored
from archsearch.anatomy.steps import Row, Step
from archsearch.architecture.spec import Architecture
from archsearch.network.build import Network, build
from archsearch.training.losses import Loss


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A network without some blocks (numbers of steps of the whole one's row), and its score; the weights are the whole
    one's."""

    removed: tuple[int, ...]
    score: Score
    network: Network


def pruned(
    network: Network,
    row: Row,
    result: Lesions,
    batches: Callable[[], Batches],
    loss: Loss,
    tolerance: float,
) -> Pruned | None:
    """The network without as many blocks as it can lose, those first whose deletion did least, until its error is
    higher by more than `tolerance` (its loss by so great a part). None where no block can go."""
    if keeps_probabilities(network.architecture):
        return None
    single = dict(result.single)
    order = sorted(removable(row), key=lambda number: single[number].value)
    sets = [tuple(sorted(order[:count])) for count in range(1, len(order) + 1)]
    if not sets:
        return None
    scores = scored(row, [row.without(removed) for removed in sets], batches(), loss)
    whole = result.whole
    limit = whole.loss * (1 + tolerance) if whole.error is None else whole.error + tolerance
    fits = [number for number, score in enumerate(scores) if score.value <= limit]
    if not fits:
        return None
    removed = sets[fits[-1]]
    return Pruned(removed=removed, score=scores[fits[-1]], network=without(network, row, removed))


def keeps_probabilities(architecture: Architecture) -> bool:
    """Whether the survival probabilities by which branches are multiplied at test time follow from the number of
    blocks: then fewer blocks are another network."""
    survival = architecture.survival
    return survival.schedule in ("linear", "count") and survival.rescale == "test" and survival.last < 1


def removable(row: Row) -> list[int]:
    """Blocks whose deletion is a network of fewer blocks: what is left of them, shortcut and all, changes nothing."""
    return [number for number in row.blocks if _leaves_nothing(row.steps[number])]


def _leaves_nothing(step: Step) -> bool:
    words = step.words
    if words is None or step.block == 1 or step.changes_shape:
        return False  # a stage's first block also makes what the others are like
    if words.link == "plain":
        return True
    unchanged = words.shortcut != "C" and words.gate == "none" and words.shortcut_scale == 1
    return words.link == "residual" and unchanged and words.activation != "norm_after_addition"


def without(network: Network, row: Row, removed: Sequence[int]) -> Network:
    """The network without these blocks, with the weights of the others, in eval mode."""
    gone = {(row.steps[number].stage, row.steps[number].block) for number in removed}
    stages = tuple(
        stage.model_copy(update={"depth": stage.depth - sum(number == of for of, _ in gone)})
        for number, stage in enumerate(network.architecture.stages, start=1)
    )
    smaller = build(network.architecture.model_copy(update={"stages": stages, "name": None}))
    smaller.load_state_dict(_renamed(network.state_dict(), gone))
    return smaller.eval()


def _renamed(weights: dict[str, Tensor], gone: set[tuple[int, int]]) -> dict[str, Tensor]:
    """The weights of the blocks that stay, by their new numbers."""
    result = {}
    for name, tensor in weights.items():
        place = re.match(r"stage(\d+)\.block(\d+)\.", name)
        if place is None:
            result[name] = tensor
            continue
        stage, block = int(place[1]), int(place[2])
        if (stage, block) not in gone:
            earlier = sum(of == stage and number < block for of, number in gone)
            result[f"stage{stage}.block{block - earlier}.{name[place.end() :]}"] = tensor
    return result
