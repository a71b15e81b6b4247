"""The degradation experiment as JSON values: curves, final errors beside published ones, comparisons, sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, geometric_mean
from typing import Any

from archsearch import zoo
from archsearch.analysis.report.charts import percent
from archsearch.anatomy.degradation import ROWS, Group, Member
from archsearch.anatomy.gradients import layers
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.network.build import skeleton

LI = "Li et al. 2018, arXiv:1712.09913"
# Its test errors on CIFAR-10, by depth, without shortcuts and with them.
LI_ERRORS = {"plain": {20: 8.18, 56: 13.31, 110: 16.44}, "residual": {20: 7.37, 56: 5.89, 110: 5.79}}
FAILED = {"dropout, 0.5": 20.0}  # He 2016, table 1: a test error above this
MEASURES = ("training_loss", "training_error", "validation_error", "test_error")
Results = Sequence[tuple[int, Mapping[str, Any]]]  # (seed, what result.json holds, or `diverged`: an epoch)


def document(trained: Sequence[tuple[Member, Results]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain JSON values; `facts` says by which images and settings they are."""
    networks = [_network(member, results) for member, results in trained]
    compared = _comparisons(networks)
    return {
        **facts,
        "networks": networks,
        "comparisons": compared,
        "remarks": list(_remarks(networks, compared, facts)),
    }


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
    if member.group == "shortcuts":
        yield from _of_zoo(f"resnet34_option_{member.label[-1].lower()}", "ImageNet")
        return
    if member.group is not None:
        name = ROWS[member.group][member.label].format(110)
        if member.label in FAILED:
            yield {"percent": None, "above": FAILED[member.label], "network": name, "data": "CIFAR-10",
                   "source": "He et al. 2016, arXiv:1603.05027, table 1"}  # fmt: skip
        elif name == "resnet110_cifar":  # the median of 5 runs, where He 2015 has the best of 5
            yield {"percent": 6.61, "network": name, "data": "CIFAR-10",
                   "source": "He et al. 2016, arXiv:1603.05027, table 1"}  # fmt: skip
        else:
            yield from _of_zoo(name, "CIFAR-10")
        return
    yield from _of_zoo(member.name, "CIFAR-10")
    if (error := LI_ERRORS[member.link].get(member.depth)) is not None:
        yield {"percent": error, "network": member.name, "data": "CIFAR-10", "source": LI}


def _of_zoo(name: str, data: str) -> Iterator[dict[str, Any]]:
    if (error := zoo.entry(name).published) is not None:
        yield {"percent": error.percent, "network": name, "data": data, "source": error.source}


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


def _remarks(
    networks: Sequence[dict[str, Any]], compared: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
) -> Iterator[str]:
    """What the figures say, in sentences."""
    for row in networks:
        epochs = [f"{t['diverged']['epoch']} (seed {t['seed']})" for t in row["trainings"] if t["diverged"]]
        if epochs:
            yield f"{row['label']} diverged in epoch {', '.join(epochs)}: its errors are not known."
    plain, residual, shortcuts = compared
    yield from _degradation(plain, residual)
    change = shortcuts["validation_error"]["change"]
    if change is not None:
        more = "lower" if change <= 0 else "higher"
        yield (f"With shortcuts the validation error at {facts['depths'][-1]} layers is {_points(abs(change))} {more}: "
               f"{percent(shortcuts['validation_error']['second'])}.")  # fmt: skip
    yield from _gradient(networks)
    for group in facts["rows"]:
        yield from _best_row(group, [row for row in networks if row["group"] == group], facts)
    yield from _conclusion([row for row in networks if not row["group"]], facts)


def _degradation(plain: Mapping[str, Any], residual: Mapping[str, Any]) -> Iterator[str]:
    for pair in (plain, residual):
        loss, error, validation = (pair[name] for name in ("training_loss", "training_error", "validation_error"))
        if loss["change"] is None:
            continue
        begin = f"From {pair['first']} to {pair['second']} the training error goes from {percent(error['first'])} to "
        begin += f"{percent(error['second'])}, the validation error from {percent(validation['first'])} to "
        begin += f"{percent(validation['second'])}; the training loss is {_of_seeds(loss['higher'], pair['seeds'])}"
        if loss["higher"] == pair["seeds"] and pair is plain:
            yield (f"{begin}. The deeper network could compute all that the shallower one does, and fits the training "
                   "images worse: degradation.")  # fmt: skip
        else:
            yield f"{begin}."


def _of_seeds(higher: int, seeds: int) -> str:
    if seeds == 1:
        return "higher" if higher else "not higher"
    return f"higher with {higher} of {seeds} seeds"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def stem(row: Mapping[str, Any]) -> float | None:
    """The geometric mean over the seeds of the gradient's norm at the first layer before training."""
    norms = [training["gradient"]["norms"][0][0] for training in row["trainings"] if training["gradient"]["norms"]]
    return geometric_mean(norms) if norms and all(norms) else None


def _gradient(networks: Sequence[dict[str, Any]]) -> Iterator[str]:
    base = [row for row in networks if not row["group"]]
    plain, residual = ([row for row in base if row["link"] == link] for link in ("plain", "residual"))
    first, last, beside = stem(plain[0]), stem(plain[-1]), stem(residual[-1])
    if first and last and beside:
        yield (f"Before training the gradient at the first layer has the norm {first:,.2g} in {plain[0]['label']}, "
               f"{last:,.2g} in {plain[-1]['label']}, and {beside:,.2g} in {residual[-1]['label']}.")  # fmt: skip


def _best_row(group: Group, rows: Sequence[dict[str, Any]], facts: Mapping[str, Any]) -> Iterator[str]:
    ranked = sorted(
        (row["final"]["validation_error"], row["label"]) for row in rows if row["final"]["validation_error"] is not None
    )
    if ranked:
        listed = ", ".join(f"{label} {percent(error)}" for error, label in ranked)
        yield (f"{group.capitalize()} at {facts['depths'][-1]} layers by validation error: {listed}. Differences below "
               f"{_points(chance(ranked[0][0], facts['validation_images']))} can be chance.")  # fmt: skip


def _conclusion(base: Sequence[dict[str, Any]], facts: Mapping[str, Any]) -> Iterator[str]:
    """Which network to take for these images: the best, and one that is shallower and within chance of it."""
    rows = [row for row in base if row["final"]["validation_error"] is not None]
    if not rows:
        return
    best = min(rows, key=lambda row: row["final"]["validation_error"])
    error = best["final"]["validation_error"]
    within = chance(error, facts["validation_images"])
    enough = min((row for row in rows if row["final"]["validation_error"] <= error + within), key=lambda r: r["depth"])
    begin = f"For {facts['data']} with this recipe: {best['label']} has the lowest validation error, {percent(error)}"
    if enough["depth"] >= best["depth"]:
        yield f"{begin}; no shallower one is within chance of it."
    else:
        share = percent(enough["flops"] / best["flops"], 0)
        yield (f"{begin}; {enough['label']} is within chance of it ({_points(within)}) with {share} of the FLOPs.")
