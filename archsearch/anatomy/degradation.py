"""Plain and residual networks of several depths trained by one recipe: the degradation experiment of He et al. 2015
(arXiv:1512.03385, section 4.2), with shortcuts and placements of that paper and of He et al. 2016 (arXiv:1603.05027) as
further rows.

Here is which networks are trained, what is measured of them while they train, and what follows; the training itself is
`archsearch.training`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import torch

from archsearch import zoo
from archsearch.anatomy.gradients import layer_norms
from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet
from archsearch.data.splitting import stratified, subset
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.feed import Feed, feed_of
from archsearch.training.loop import Training

Link = Literal["plain", "residual"]
Group = Literal["shortcuts", "placements", "identities"]
LINKS: tuple[Link, ...] = get_args(Link)
GROUPS: tuple[Group, ...] = get_args(Group)
PLAIN, RESIDUAL = "plain{}_cifar", "resnet{}_cifar"
ROWS: dict[Group, dict[str, str]] = {
    "shortcuts": {
        "option A": RESIDUAL,
        "option B": "resnet{}_option_b_cifar",
        "option C": "resnet{}_option_c_cifar",
    },
    "placements": {
        "original": RESIDUAL,
        "BN after addition": "resnet{}_bn_after_addition_cifar",
        "ReLU before addition": "resnet{}_relu_before_addition_cifar",
        "ReLU-only pre-activation": "resnet{}_relu_only_preact_cifar",
        "full pre-activation": "preact_resnet{}_cifar",
    },
    "identities": {
        "identity": RESIDUAL,
        "constant scaling (0.5)": "resnet{}_shortcut_scaled_05_05_cifar",
        "exclusive gating": "resnet{}_shortcut_exclusive_gate_cifar",
        "shortcut-only gating": "resnet{}_shortcut_only_gate_cifar",
        "1x1 convolution": "resnet{}_shortcut_conv1x1_cifar",
        "dropout (0.5)": "resnet{}_shortcut_dropout_cifar",
    },
}
GRADIENT_EPOCHS = 20  # at about so many epochs of a training, evenly, the gradient is measured
AT_ONCE = 256  # images of an evaluated batch


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network of the experiment. `link` says whether it has shortcuts; of a further row `group` and `label` say which
    one it is, and are None and its short name of the others."""

    architecture: Architecture
    depth: int
    link: Link
    label: str
    group: Group | None = None

    @property
    def name(self) -> str:
        """Its name in the zoo."""
        return self.architecture.name or ""


def members(depths: Sequence[int], groups: Sequence[str] = ()) -> list[Member]:
    """The plain and the residual network of each depth, from the shallowest on, then the rows of the groups, at the
    greatest depth. Raises InputError for depths that the family has not, fewer than two of them, and other groups."""
    checked = _depths(depths)
    networks = [
        _base(link, depth)
        for link in LINKS
        for depth in checked
    ]  # fmt: skip
    for group in _groups(groups):
        networks += [
            Member(architecture=zoo.get(name.format(checked[-1])), depth=checked[-1], link="residual", label=label,
                   group=group)
            for label, name in ROWS[group].items()
        ]  # fmt: skip
    return networks


def _base(link: Link, depth: int) -> Member:
    name, label = (PLAIN, "plain") if link == "plain" else (RESIDUAL, "ResNet")
    return Member(architecture=zoo.get(name.format(depth)), depth=depth, link=link, label=f"{label}-{depth}")


def _depths(depths: Sequence[int]) -> list[int]:
    for depth in depths:
        blocks = (depth - 2) / 6
        if depth == 164 or blocks != int(blocks) or not 1 <= blocks <= 1024:
            near = 6 * min(1024, max(1, round(blocks))) + 2
            raise refuse(
                f"no network has {depth} layers",
                allowed="6n + 2 layers: 8, 14, 20, 32, 44, 56, 110 and so on, but not 164, which has bottlenecks",
                hint=f"the nearest depth is {near if near != 164 else 158}",
                file="--depths",
            )
    if len(set(depths)) < 2:
        shown = ", ".join(map(str, depths)) or "none"
        raise refuse(
            f"{shown}: fewer than two depths", allowed="two depths or more", hint="such as 20,56", file="--depths"
        )
    return sorted(set(depths))


def _groups(groups: Sequence[str]) -> list[Group]:
    for group in groups:
        if group not in GROUPS:
            hint = did_you_mean(group, GROUPS)
            raise refuse(f"rows {group!r:.40}", allowed=", ".join(GROUPS), hint=hint, file="--rows")
    return [group for group in GROUPS if group in groups]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Training images that stay the same through all trainings, unaugmented: by all of them the training error is
    measured, by one batch of them the gradient, at every so many epochs."""

    feed: Feed
    size: int
    batch: int
    every: int

    @classmethod
    def of(cls, images: ImageSet, settings: TrainingSettings, device: torch.device, size: int) -> Self:
        """At most `size` of the training images, each class by its share, and of these a batch of the recipe's size;
        the same for all seeds."""
        chosen = images.train
        if size < len(chosen):
            chosen = subset(chosen, stratified(chosen.labels, size, seed=0)[0])
        batch = min(settings.batch_size, len(chosen))
        part = chosen if batch == len(chosen) else subset(chosen, stratified(chosen.labels, batch, seed=0)[0])
        few = replace(images, train=chosen, validation=chosen, test=part, others=())
        return cls(
            feed=feed_of(few, settings, device), size=len(chosen), batch=batch,
            every=math.ceil(settings.epochs / GRADIENT_EPOCHS),
        )  # fmt: skip

    def measure(self, training: Training) -> dict[str, Any]:
        """The mean loss and the share that is wrong of the weights that are evaluated; and at some epochs the
        `gradient` at those that are trained, by layer. The training is left as it was."""
        model, loss, wrong = training.model, 0.0, 0
        model.eval()
        with training.step.evaluated(), torch.inference_mode():
            for images, labels in self.feed.evaluation("validation", AT_ONCE):
                with training.step.autocast():
                    scores = model(images)
                loss += training.loss(scores, labels).item() * len(labels)
                wrong += int((scores.argmax(1) != labels).sum().item())
        result: dict[str, Any] = {"sample_loss": _finite(loss / self.size), "sample_error": wrong / self.size}
        if training.epoch % self.every == 0 or training.epoch == training.course.epochs:
            (batch,) = self.feed.evaluation("test", self.batch)
            result["gradient"] = [_finite(norm) for norm in layer_norms(model, batch, training.loss)]
        return result


def _finite(value: float) -> float | None:
    """Rounded to five digits; None where it is no finite number, which JSON has no word for."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
