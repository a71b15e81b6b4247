"""What stochastic depth does for a network's training: its own, or that of Huang et al. 2016."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from archsearch.api.trained_networks import Subject
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.data.images import Progress

HALF = 0.5  # survival probability of the last block (Huang 2016) where a network has no stochastic depth


def stochastic_depth(
    subject: Subject,
    survival: float | None,
    images: int | None,
    rounds: int,
    seed: int,
    tell: Progress,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """The figures: expected depth and saving, and the time saved in so many rounds of training steps on batches of
    `images` (None: the recipe's, fewer of a large network on a CPU). `survival` is the last block's probability of a
    linear schedule; with None the network's own schedule, if it has one. Raises InputError."""
    from archsearch.anatomy import depth_page
    from archsearch.anatomy.depth import Depth, measured, with_survival
    from archsearch.architecture.canonical import digest
    from archsearch.training.devices import resolve_device
    from archsearch.training.measuring.probe import timed_batch

    architecture, device = subject.of_grammar().architecture, resolve_device(subject.settings.device)
    if survival is not None and not 0 < survival <= 1:
        raise refuse(f"a survival probability of {survival:g}", allowed="above 0, at most 1", file="--survival")
    if images is not None and images < 1:
        raise refuse(f"{images} images", allowed="1 or more", file="--images")
    assumed = survival is None and set(Depth.of(architecture).probabilities) <= {1.0}
    architecture = with_survival(architecture, HALF if assumed else survival)
    depth = Depth.of(architecture)
    if not depth.probabilities:
        raise refuse(f"{subject.name} has no block with a shortcut", allowed="a network with one block that can drop")
    batch = timed_batch(architecture, subject.settings, device) if images is None else images
    tell(f"timing {rounds} rounds of training steps with and without stochastic depth")
    saving = measured(
        architecture, subject.images, subject.settings, device, batch=batch, rounds=rounds, seed=seed,
        on_round=on_progress,
    )  # fmt: skip
    facts = {
        "analysis": "depth", **subject.facts(), "digest": digest(architecture), "split": "training",
        "images": saving.images, "draws": rounds, "seed": seed,
    }  # fmt: skip
    return depth_page.document(depth, saving, architecture.survival, facts, assumed=assumed)
