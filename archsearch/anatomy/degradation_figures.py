"""The degradation experiment as JSON values: curves, final errors beside published ones, comparisons, sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, geometric_mean
from typing import Any

from archsearch import zoo
from archsearch.analysis.report.charts import percent
from archsearch.anatomy.degradation import LINKS, RESIDUAL, ROWS, Group, Link, Member
from archsearch.anatomy.gradients import layers
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.network.build import skeleton

LI = "Li et al. 2018, arXiv:1712.09913"
# Its test errors on CIFAR-10, by depth, without shortcuts and with them.
LI_ERRORS = {"plain": {20: 8.18, 56: 13.31, 110: 16.44}, "residual": {20: 7.37, 56: 5.89, 110: 5.79}}
HE_2016 = "He et al. 2016, arXiv:1603.05027, table 1"
FAILED = {"dropout (0.5)": 20.0}  # a test error above this
MEASURES = ("training_loss", "training_error", "validation_error", "test_error")
Results = Sequence[tuple[int, Mapping[str, Any]]]  # (seed, what result.json holds, or `diverged`: an epoch)


def document(trained: Sequence[tuple[Member, Results]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain JSON values; `facts` says by which images and settings they are."""
    networks = [_network(member, results) for member, results in trained]
    figures = {**facts, "networks": networks, "comparisons": _comparisons(networks)}
    return {**figures, "remarks": list(remarks(figures))}


def _network(member: Member, results: Results) -> dict[str, Any]:
    architecture = member.architecture
    counted = cost(architecture)
    trainings = [_training(seed, result) for seed, result in results]
    return {
        "network": member.name,
        "label": member.label,
        "link": member.link,
        "depth": member.depth,
        "group": member.group,
        "digest": digest(architecture),
        "params": counted.params,
        "flops": counted.flops,
        "published": list(published(member)),
        "layers": list(layers(skeleton(architecture))),
        "trainings": trainings,
        "final": {name: _mean([training[name] for training in trainings]) for name in MEASURES},
    }


def _training(seed: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Of one training: curves (a value an epoch), the values after the last one, and the gradient's norms by layer."""
    if result.get("diverged"):
        return {"seed": seed, "diverged": result["diverged"], "curves": {}, "gradient": {"epochs": [], "norms": []},
                **dict.fromkeys(MEASURES)}  # fmt: skip
    history = result["history"]
    curves = {
        "training_loss": [row["sample_loss"] for row in history],
        "training_error": [row["sample_error"] for row in history],
        "validation_loss": [row["validation_loss"] for row in history],
        "validation_error": [1 - row["validation_accuracy"] for row in history],
    }
    measured = [(0, result["initially"]), *((row["epoch"], row) for row in history)]
    gradients = [(epoch, row["gradient"]) for epoch, row in measured if "gradient" in row]
    return {
        "seed": seed,
        "diverged": None,
        "folder": result["folder"],
        "curves": curves,
        **{name: curves[name][-1] for name in MEASURES if name in curves},
        "test_error": 1 - result["test"]["accuracy"],
        "gradient": {"epochs": [epoch for epoch, _ in gradients], "norms": [norms for _, norms in gradients]},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return fmean(present) if present and len(present) == len(values) else None


def published(member: Member) -> Iterator[dict[str, Any]]:
    """The papers' test errors in %, of the network itself, or of a row at the depth at which the paper has it; the
    percentage of one that failed is None, `above` the error that it exceeded."""
    label, depth = member.label, 110
    if member.group is None:
        yield from _of_zoo(member.name, member.depth, "CIFAR-10")
        if (error := LI_ERRORS[member.link].get(member.depth)) is not None:
            yield _error(error, member.depth, "CIFAR-10", LI)
    elif member.group == "shortcuts":
        yield from _of_zoo(f"resnet34_option_{label[-1].lower()}", 34, "ImageNet")
    elif label in FAILED:
        yield {**_error(None, depth, "CIFAR-10", HE_2016), "above": FAILED[label]}
    elif (name := ROWS[member.group][label]) == RESIDUAL:  # the median of 5 runs, where He 2015 has the best of 5
        yield _error(6.61, depth, "CIFAR-10", HE_2016)
    else:
        yield from _of_zoo(name.format(depth), depth, "CIFAR-10")


def _of_zoo(name: str, depth: int, data: str) -> Iterator[dict[str, Any]]:
    if (error := zoo.entry(name).published) is not None:
        yield _error(error.percent, depth, data, error.source)


def _error(value: float | None, depth: int, data: str, source: str) -> dict[str, Any]:
    return {"percent": value, "depth": depth, "data": data, "source": source}


def _comparisons(networks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The deepest plain network beside the shallowest one, the same of the residual ones, and the deepest residual
    network beside the plain one of its depth."""
    plain, residual = ([row for row in networks if not row["group"] and row["link"] == link]
                       for link in ("plain", "residual"))  # fmt: skip
    return [
        _compared(*pair) for pair in ((plain[0], plain[-1]), (residual[0], residual[-1]), (plain[-1], residual[-1]))
    ]


def _compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"first": first["label"], "second": second["label"], "seeds": len(first["trainings"])}
    for name in MEASURES:
        pairs = [(a[name], b[name]) for a, b in zip(first["trainings"], second["trainings"], strict=True)]
        known = all(a is not None and b is not None for a, b in pairs)
        result[name] = {
            "first": first["final"][name],
            "second": second["final"][name],
            "change": second["final"][name] - first["final"][name] if known else None,
            "higher": sum(b > a for a, b in pairs) if known else None,
        }
    return result


def chance(error: float, images: int) -> float:
    """The difference of two errors near this one that the choice of so many images explains: two standard errors."""
    return 2 * math.sqrt(2 * error * (1 - error) / images)


def remarks(figures: Mapping[str, Any]) -> Iterator[str]:
    """What the figures say, in sentences."""
    yield from diverged(figures)
    yield from depth(figures)
    yield from shortcuts(figures)
    yield from gradient(figures)
    for group in figures["rows"]:
        yield from ranking(figures, group)
    yield from conclusion(figures)


def diverged(figures: Mapping[str, Any]) -> Iterator[str]:
    """Which networks have no errors."""
    for network in figures["networks"]:
        epochs = [f"{t['diverged']['epoch']} (seed {t['seed']})" for t in network["trainings"] if t["diverged"]]
        if epochs:
            yield f"{network['label']} diverged in epoch {', '.join(epochs)}: its errors are not known."


def depth(figures: Mapping[str, Any]) -> Iterator[str]:
    """What more layers do to plain and to residual networks."""
    plain, residual, _ = figures["comparisons"]
    for pair in (plain, residual):
        loss, error, validation = (pair[name] for name in ("training_loss", "training_error", "validation_error"))
        if loss["change"] is None:
            continue
        begin = (
            f"From {pair['first']} to {pair['second']} the training error goes from {percent(error['first'])} to "
            f"{percent(error['second'])}, the validation error from {percent(validation['first'])} to "
            f"{percent(validation['second'])}; the training loss is {_of_seeds(loss['higher'], pair['seeds'])}."
        )
        within = chance((error["first"] + error["second"]) / 2, figures["images"])
        if pair is plain and loss["higher"] == pair["seeds"] and error["change"] > within:
            yield (f"{begin} The deeper network could compute all that the shallower one does, and fits the training "
                   "images worse: degradation.")  # fmt: skip
        else:
            yield begin


def _of_seeds(higher: int, seeds: int) -> str:
    if seeds == 1:
        return "higher" if higher else "not higher"
    return f"higher with {higher} of {seeds} seeds"


def shortcuts(figures: Mapping[str, Any]) -> Iterator[str]:
    """What shortcuts change at the greatest depth."""
    validation = figures["comparisons"][2]["validation_error"]
    if validation["change"] is not None:
        change = f"{100 * validation['change']:+.1f} points"
        yield (f"With shortcuts the validation error at {figures['depths'][-1]} layers changes by {change}, to "
               f"{percent(validation['second'])}.")  # fmt: skip


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def gradient(figures: Mapping[str, Any]) -> Iterator[str]:
    """The gradient at the first layer before training, plain beside residual."""
    plain, residual = (base(figures, link) for link in LINKS)
    first, last, beside = (_at_first_layer(network) for network in (plain[0], plain[-1], residual[-1]))
    if first and last and beside:
        yield (f"Before training the gradient at the first layer has the norm {_short(first)} in {plain[0]['label']}, "
               f"{_short(last)} in {plain[-1]['label']}, and {_short(beside)} in {residual[-1]['label']}.")  # fmt: skip


def _at_first_layer(network: Mapping[str, Any]) -> float | None:
    """The geometric mean over the seeds of the gradient's norm at the first layer before training."""
    norms = [training["gradient"]["norms"][0][0] for training in network["trainings"] if training["gradient"]["norms"]]
    return geometric_mean(norms) if norms and all(norms) else None


def _short(value: float) -> str:
    return f"{value:.1e}" if value >= 1e5 else f"{float(f'{value:.2g}'):,g}"


def base(figures: Mapping[str, Any], link: Link) -> list[dict[str, Any]]:
    """The plain or the residual networks without further rows, the shallowest first."""
    return [network for network in figures["networks"] if not network["group"] and network["link"] == link]


def ranking(figures: Mapping[str, Any], group: Group) -> Iterator[str]:
    """The networks of a group of rows by their validation error."""
    networks = [network for network in figures["networks"] if network["group"] == group]
    ranked = sorted((error, each["label"]) for each in networks
                    if (error := each["final"]["validation_error"]) is not None)  # fmt: skip
    if ranked:
        listed = ", ".join(f"{label}: {percent(error)}" for error, label in ranked)
        yield (f"{group.capitalize()} at {figures['depths'][-1]} layers by validation error: {listed}. Differences "
               f"below {_points(chance(ranked[0][0], figures['validation_images']))} can be chance.")  # fmt: skip


def conclusion(figures: Mapping[str, Any]) -> Iterator[str]:
    """Which network to take for these images: the best, and one that is shallower and within chance of it."""
    errors = [(network["final"]["validation_error"], network) for link in LINKS for network in base(figures, link)]
    known = [(error, network) for error, network in errors if error is not None]
    if not known:
        return
    error, best = min(known, key=lambda pair: (pair[0], pair[1]["final"]["training_loss"]))
    within = chance(error, figures["validation_images"])
    enough = min((network for other, network in known if other <= error + within), key=lambda each: each["depth"])
    begin = f"For {figures['data']} with this recipe: {best['label']} has the lowest validation error, {percent(error)}"
    if best["depth"] == figures["depths"][0]:
        yield f"{begin}, and more layers do not lower it."
    elif enough["depth"] >= best["depth"]:
        yield f"{begin}; no shallower one is within chance of it ({_points(within)})."
    else:
        share = percent(enough["flops"] / best["flops"], 0)
        yield f"{begin}; {enough['label']} is within chance of it ({_points(within)}) with {share} of the FLOPs."
