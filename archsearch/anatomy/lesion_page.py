"""The lesions of a network as sentences, JSON and a page, with the paper's figures redrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from archsearch.analysis.report.charts import number, percent
from archsearch.analysis.report.html import figure, paragraph, section, table
from archsearch.anatomy.lesions import Lesions, Score, block_rows
from archsearch.anatomy.page import Axis, Bar, bars, page, scatter
from archsearch.anatomy.pruning import Pruned, keeps_probabilities
from archsearch.anatomy.steps import Row
from archsearch.architecture.spec import Architecture
from archsearch.guests.either import Described, cost

VEIT = "Veit et al. 2016 (arXiv:1605.06431)"
VEIT_BLOCKS, VEIT_DELETED = 54, 10  # of a ResNet-110: so many blocks, of which so many deleted leave an error of 20 %
PAPER = (
    "in a pre-activated ResNet-110 on CIFAR-10 no single deletion shows but those of down-sampling blocks, in a VGG "
    "each one leaves chance; the error grows smoothly with the number of deleted blocks and with their disorder"
)


def document(
    network: Described, row: Row, result: Lesions, smaller: Pruned | None, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """All figures as plain JSON values; `facts` says which network, weights and images they are of."""
    shared, alone = result.work
    levels = sorted({len(chosen) for chosen, _ in result.deleted})
    shortcuts = any(step.has_shortcut for step in row.steps)
    return {
        **facts,
        "whole": result.whole.to_dict(),
        "blocks": [_without_nan(block) for block in block_rows(row, result)],
        "deleted": [
            {
                "blocks": level,
                "paths_left": 0.5**level if shortcuts else None,
                "scores": [score.to_dict() for chosen, score in result.deleted if len(chosen) == level],
            }
            for level in levels
        ],
        "reordered": [{"kendall_tau": tau, **score.to_dict()} for tau, score in result.reordered],
        "emptied": [{"stage": stage, **score.to_dict()} for stage, score in result.emptied],
        "work": {"flops": shared, "flops_alone": alone, "share": shared / alone},
        "pruned": None if smaller is None else _pruned(network, row, result.whole, smaller),
        "remarks": _remarks(network, row, result, smaller),
    }


def _without_nan(block: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in block.items()}  # noqa: PLR0124 (nan alone)


def _pruned(network: Described, row: Row, whole: Score, smaller: Pruned) -> dict[str, Any]:
    before, after = cost(network), cost(smaller.network.architecture)
    return {
        "removed": [row.steps[step].path for step in smaller.removed],
        **smaller.score.to_dict(),
        "change": smaller.score.value - whole.value,
        "flops": after.flops,
        "flops_saved": 1 - after.flops / before.flops,
        "params": after.params,
        "architecture": smaller.network.architecture.to_dict(),
    }


def written(score: Score | Mapping[str, Any], digits: int = 1) -> str:
    """An error of 8.3 %, or a loss of 0.41."""
    values = score.to_dict() if isinstance(score, Score) else score
    if values["error"] is not None:
        return percent(values["error"], digits)
    return "\u2013" if values["loss"] is None else f"{values['loss']:.4g}"


def _remarks(network: Described, row: Row, result: Lesions, smaller: Pruned | None) -> list[str]:
    """What the figures say of this network, in sentences."""
    name = "error" if result.whole.error is not None else "loss"
    scores = {n: score.value for n, score in result.single}
    remarks = []
    if scores:
        worst = max(scores, key=lambda n: scores[n])
        step = row.steps[worst]
        kind = ", which changes the shape" if step.changes_shape else ""
        middle = written(_score_like(result.whole, median(scores.values())))
        remarks.append(
            f"One block deleted: median {name} {middle}, {written(result.whole)} for the whole network. Worst without "
            f"{step.path}{kind}: {written(dict(result.single)[worst])}."
        )
    if smaller is not None:
        saved = _pruned(network, row, result.whole, smaller)
        change = 100 * saved["change"] if result.whole.error is not None else saved["change"]
        unit = " points" if result.whole.error is not None else ""
        remarks.append(
            f"{_listed(saved['removed'])} can go without training: {name} {change:+.2f}{unit}, "
            f"{-100 * saved['flops_saved']:.0f} % FLOPs."
        )
    elif not isinstance(network, Architecture):
        remarks.append("A smaller network is offered for networks of archsearch's grammar alone.")
    elif keeps_probabilities(network):
        remarks.append(
            "No smaller network is offered: branches are multiplied by survival probabilities that follow from the "
            "number of blocks."
        )
    else:
        remarks.append("No block can go without training within the tolerance.")
    shared, alone = result.work
    count = len(result.single) + len(result.deleted) + len(result.reordered) + len(result.emptied)
    remarks.append(
        f"{count:,} lesions took {percent(shared / alone, 0)} of the FLOPs of as many evaluations: what they begin "
        "with alike was computed once."
    )
    return remarks


def _score_like(score: Score, value: float) -> Score:
    return Score(loss=value, error=None) if score.error is None else Score(loss=score.loss, error=value)


def _listed(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{', '.join(paths[:-1])} and {paths[-1]}"


def html(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    shares = document["whole"]["error"] is not None
    name, key = ("error", "error") if shares else ("loss", "loss")
    whole = document["whole"][key]
    y = Axis(name, shares, (0.0, whole))
    images = f"{document['images']:,} {document['split']} images of {document['data']}"
    lede = f"Blocks of the trained network deleted and reordered, on {images}. {document['remarks'][0]}"
    return page(
        f"{document['network']}: lesions",
        f"archsearch · lesions · {document['network']}",
        _headline(document, name),
        lede,
        [
            _single(document, y, whole),
            _several(document, y, key),
            _order(document, y, key),
            _smaller(document, name),
            _paper(document),
        ],
    )


def _headline(document: Mapping[str, Any], name: str) -> str:
    if document["pruned"] is not None:
        count = len(document["pruned"]["removed"])
        return f"{document['network']} can do without {count} of its {len(document['blocks'])} blocks"
    return f"What each block of {document['network']} does for its {name}"


def _single(document: Mapping[str, Any], y: Axis, whole: float) -> str:
    key = "error" if y.shares else "loss"
    rows = [
        Bar(
            "",
            block[key],
            f"{block['path']}: {written(block)}" + (" (changes the shape)" if block["changes_shape"] else ""),
            block["changes_shape"],
        )
        for block in document["blocks"]
        if block["deleted"]
    ]
    if not rows:
        return ""
    chart = bars(rows, x_name="blocks, in order", y=y, level=whole, level_name="the whole network")
    listed = [
        [
            block["path"],
            "yes" if block["changes_shape"] else "",
            written(block),
            number(block["branch_flops"]),
            number(block["params"]),
        ]
        for block in document["blocks"]
    ]
    head = ["block", "changes the shape", f"{y.name} without it", "FLOPs of its branch", "parameters"]
    stages = [
        [f"stage {row['stage']}, all blocks but the first", "", written(row), "", ""] for row in document["emptied"]
    ]
    caption = "Each block reduced to its shortcut. Other colour: the block changes the shape, and its shortcut stays."
    if not _has_shortcuts(document):
        caption = "Each block left out whose output has the shape of its input."
    return section("single", "One block deleted", figure(chart, caption), table(head, [*listed, *stages]))


def _has_shortcuts(document: Mapping[str, Any]) -> bool:
    return any(row["paths_left"] is not None for row in document["deleted"])


def _several(document: Mapping[str, Any], y: Axis, key: str) -> str:
    points = [(row["blocks"], score[key]) for row in document["deleted"] for score in row["scores"]]
    medians = [(row["blocks"], median(score[key] for score in row["scores"])) for row in document["deleted"]]
    chart = scatter(points, x=Axis("deleted blocks"), y=y, lines=[("full-best steps", medians)], whole=True)
    draws = len(document["deleted"][0]["scores"]) if document["deleted"] else 0
    sets = f"{draws} random set{'s' if draws != 1 else ''} of blocks"
    caption = f"{sets} for each number; line: the median."
    caption += " d blocks less leave 2^-d of the paths." if _has_shortcuts(document) else ""
    return section("several", "Several blocks deleted", figure(chart, caption))


def _order(document: Mapping[str, Any], y: Axis, key: str) -> str:
    points = [(row["kendall_tau"], row[key]) for row in document["reordered"]]
    chart = scatter(points, x=Axis("Kendall's tau of the order of blocks"), y=y)
    caption = "Random pairs of blocks of one stage and shape swapped. 1: every pair of blocks in its own order."
    return section("order", "Blocks reordered", figure(chart, caption))


def _paper(document: Mapping[str, Any]) -> str:
    """What the paper has for the same lesions, beside what this network has: of errors."""
    text = paragraph(f"{VEIT}: {PAPER}.")
    errors = {block["path"]: block["error"] for block in document["blocks"] if block["error"] is not None}
    if not errors:
        return section("paper", "In the paper", text)
    worst, count = max(errors, key=lambda path: errors[path]), len(errors)
    several = min(document["deleted"], key=lambda row: abs(row["blocks"] / count - VEIT_DELETED / VEIT_BLOCKS))
    middle = percent(median(score["error"] for score in several["scores"]))
    head = ["deleted", document["network"], f"ResNet-110, {VEIT_BLOCKS} blocks", "VGG, no shortcuts"]
    rows = [
        ["nothing", percent(document["whole"]["error"]), "", ""],
        ["one block, median", percent(median(errors.values())), "no visible change", "chance, 90 %"],
        ["one block, worst", f"{percent(errors[worst])} ({worst})", "a down-sampling block, slightly", "chance, 90 %"],
        ["several at random, median", f"{middle} ({several['blocks']} of {count})",
         f"about 20 % ({VEIT_DELETED} of {VEIT_BLOCKS})", ""],
    ]  # fmt: skip
    return section("paper", "Beside the paper", text, table(head, rows))


def _smaller(document: Mapping[str, Any], name: str) -> str:
    pruned = document["pruned"]
    if pruned is None:
        return section("smaller", "What follows", *(paragraph(text) for text in document["remarks"][1:]))
    rows = [
        ["the whole network", written(document["whole"], 2), number(document["flops"]), number(document["params"])],
        ["without these blocks", written(pruned, 2), number(pruned["flops"]), number(pruned["params"])],
    ]
    return section(
        "smaller",
        "What follows",
        *(paragraph(text) for text in document["remarks"][1:]),
        table(["network", name, "FLOPs", "parameters"], rows),
        paragraph("On the images by which its blocks were chosen: measure it on others before you use it.", "note"),
    )
