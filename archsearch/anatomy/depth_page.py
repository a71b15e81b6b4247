"""What stochastic depth does for a network's training as sentences, JSON and a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from archsearch.analysis.report.charts import percent
from archsearch.analysis.report.html import figure, paragraph, section, table
from archsearch.anatomy.depth import Depth, Floats, Saving
from archsearch.anatomy.page import Axis, Bar, bars, page, scatter
from archsearch.architecture.spec import Survival

HUANG = "Huang et al. 2016 (arXiv:1603.09382)"
PUBLISHED = {"CIFAR-10": 0.270, "CIFAR-100": 0.265, "SVHN": 0.242}  # share of the time saved, table 2


ASSUMED = (
    "The network has no stochastic depth of its own: these figures are for the linear schedule with a survival "
    "probability of {last:g} of the last block."
)


def document(
    depth: Depth, saving: Saving, survival: Survival, facts: Mapping[str, Any], *, assumed: bool
) -> dict[str, Any]:
    """All figures as plain JSON values; seconds are of one training step. `assumed`: the network has no stochastic
    depth of its own."""
    shares = saving.shares
    return {
        **facts,
        "survival": survival.to_dict(),
        "blocks": len(depth.probabilities),
        "probabilities": list(depth.probabilities),
        "expected_blocks": depth.expected,
        "blocks_saved": depth.dropped,
        "flops_saved": depth.saved_flops,
        "distribution": depth.distribution.tolist(),
        "time_saved": _spread(shares),
        "measured": {
            "seconds": _spread(saving.dropping),
            "seconds_without": _spread(saving.whole),
            "rounds": shares.tolist(),
            "steps": saving.whole.shape[1],
            "images": saving.images,
            "device": saving.device,
            "threads": saving.threads,
            "clock": saving.clock,
        },
        "published": [
            {"source": f"{HUANG}, table 2", "data": data, "blocks": 54, "saved": saved}
            for data, saved in PUBLISHED.items()
        ],
        "remarks": _remarks(depth, saving) + [ASSUMED.format(last=survival.last)] * assumed,
    }


def _spread(values: Floats) -> dict[str, float]:
    """The median with the quartiles around it, and of how many values."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return {"median": float(median), "low": float(low), "high": float(high), "n": values.size}


def _remarks(depth: Depth, saving: Saving) -> list[str]:
    spread = _spread(saving.shares)
    remarks = [
        f"A training step computes {depth.expected:.4g} of {len(depth.probabilities)} blocks on average: "
        f"{percent(depth.dropped, 2)} fewer blocks, {percent(depth.saved_flops, 2)} fewer FLOPs.",
        f"Measured, a step takes {percent(spread['median'])} less time: the median of {spread['n']} rounds of "
        f"{saving.whole.shape[1]} steps, quartiles {percent(spread['low'])} and {percent(spread['high'])}.",
    ]
    if not depth.skips:
        remarks.append(
            "Blocks are dropped image by image (per: sample), so every branch is computed; per: batch saves time."
        )
    elif spread["high"] < depth.saved_flops - 0.05:
        remarks.append(
            "The rest of a step (loading and augmenting images, the optimizer, shortcuts, small operations) takes as "
            "long as without it. A larger batch (--images) lessens its share."
        )
    return remarks


def html(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    network, blocks, measured = document["network"], document["blocks"], document["measured"]
    probabilities = list(enumerate(document["probabilities"], start=1))
    kept = [(count, share) for count, share in enumerate(document["distribution"]) if share > 1e-6]
    rounds = [
        Bar("", share, f"round {number}: {percent(share)}") for number, share in enumerate(measured["rounds"], start=1)
    ]
    unit = "a GPU" if measured["device"] == "cuda" else "one thread of a CPU"
    sections = [
        section("survival", "How often each block is kept", figure(
            scatter(probabilities, x=Axis("block"), y=Axis("survival probability", True, (0.0, 1.0)), whole=True),
            "The probability with which a training step computes the branch of a block with a shortcut.")),
        section("depth", "How deep the network is while it trains", figure(
            scatter(kept, x=Axis("blocks that a step computes", shown=(0, blocks)),
                    y=Axis("probability", True, (0.0,)), lines=[("curve best", kept)], whole=True),
            f"Exact. On average {document['expected_blocks']:.4g} of {blocks}.")),
        section("saving", "What it saves", figure(
            bars(rounds, x_name="rounds, in order", y=Axis("share of the time saved", True, (0.0,)),
                 level=document["flops_saved"], level_name="share of the FLOPs"),
            f"{measured['steps']} steps with and without stochastic depth in each round, on {measured['images']} "
            f"images of {document['data']} a step, on {unit}. Bars start at the share of the FLOPs that is saved."),
            table(["", "blocks", "expected", "blocks saved", "FLOPs saved", "time saved"], [
                [network, f"{blocks}", f"{document['expected_blocks']:.2f}", percent(document["blocks_saved"], 2),
                 percent(document["flops_saved"], 2), percent(document["time_saved"]["median"])],
                *([f"{HUANG}, {data}", "54", "40.25", "25.46 %", "", percent(saved)]
                  for data, saved in PUBLISHED.items())]),
            *(paragraph(text) for text in document["remarks"][2:])),
        section("steps", "Seconds of a step", table(["", "median", "quartiles", "steps"], [
            _seconds("with stochastic depth", measured["seconds"]),
            _seconds("without", measured["seconds_without"])])),
    ]  # fmt: skip
    return page(
        f"{network}: stochastic depth",
        f"archsearch · stochastic depth · {network}",
        f"Stochastic depth trains {document['expected_blocks']:.4g} of {blocks} blocks a step",
        " ".join(document["remarks"][:2]),
        sections,
    )


def _seconds(name: str, spread: Mapping[str, float]) -> list[str]:
    low, middle, high = (f"{spread[key]:.4g}" for key in ("low", "median", "high"))
    return [name, middle, f"{low} to {high}", f"{spread['n']}"]
