"""The degradation experiment as a page: figure 6 of He et al. 2015 redrawn, final errors, gradients by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, geometric_mean
from typing import Any

from archsearch.analysis.report.charts import percent
from archsearch.analysis.report.html import figure, legend, paragraph, section, table
from archsearch.anatomy.degradation import Group
from archsearch.anatomy.degradation_figures import base, conclusion, depth, diverged, gradient, ranking, shortcuts
from archsearch.anatomy.page import Axis, page, scatter

HE = "He et al. 2015 (arXiv:1512.03385)"
IMAGENET = (
    "On ImageNet a plain network of 34 layers has a top-1 error of 28.54 %, one of 18 layers 27.94 %, in training too; "
    "with shortcuts 25.03 and 27.88 % (table 2). On CIFAR-10 plain-56 is above plain-20 in training and test error "
    "(figures 1 and 6), and plain-110 above 60 %."
)
COLOURS = 6
TITLES: dict[Group, str] = {
    "shortcuts": "Shortcut options",
    "placements": "Positions of norm and activation",
    "identities": "Alternatives to the identity shortcut",
}


def html(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    plain, residual = base(document, "plain"), base(document, "residual")
    images = f"{document['validation_images']:,} validation images of {document['data']}"
    dashes = (
        f"Dashed: on {document['images']:,} training images, the same for all, unaugmented; solid: on the {images}."
    )
    sections = [
        section("plain", "Without shortcuts", figure(_curves(plain), dashes, _key(plain))),
        section("residual", "With shortcuts", figure(_curves(residual), dashes, _key(residual))),
        section("errors", "After the last epoch", *map(paragraph, shortcuts(document)), _errors([*plain, *residual]),
                paragraph(_measured(document), "note"), paragraph(f"{HE}: {IMAGENET}", "note")),
        *(_group(name, document, dashes) for name in document["rows"]),
        _gradients([*plain, *residual], document),
        section("follows", f"What follows for {document['data']}", *map(paragraph, conclusion(document))),
    ]  # fmt: skip
    shallow, deep = document["depths"][0], document["depths"][-1]
    return page(
        f"{document['data']}: degradation",
        f"archsearch · degradation · {document['data']}",
        f"From {shallow} to {deep} layers: {_change(document)}",
        " ".join([*diverged(document), *depth(document)]),
        sections,
    )


def _change(document: Mapping[str, Any]) -> str:
    texts = []
    for name, pair in zip(("plain", "residual"), document["comparisons"], strict=False):
        change = pair["training_error"]["change"]
        texts.append(f"{name} diverged" if change is None else f"{name} {100 * change:+.1f}")
    return f"{', '.join(texts)} points of training error"


def _measured(document: Mapping[str, Any]) -> str:
    seeds = len(document["seeds"])
    means = (
        f"Means over {seeds} seeds, in brackets the least and the greatest. "
        if seeds > 1
        else "One seed: another can change the order of networks that are close. "
    )
    return (f"{means}All networks have the same recipe ({document['epochs']} epochs in batches of "
            f"{document['training']['batch_size']}) and the same seeds. The test split is looked at once, after the "
            "last epoch. Published errors are after the papers' longer trainings.")  # fmt: skip


def _series(index: int) -> str:
    return f"series s{index % COLOURS + 1}"


def _key(rows: Sequence[Mapping[str, Any]]) -> str:
    return legend(*((f"~{_series(index)}", row["label"]) for index, row in enumerate(rows)))


def _curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """Training error (dashed) and validation error by epoch, means over the seeds."""
    lines = []
    for index, row in enumerate(rows):
        for name, css in (("training_error", " dashed"), ("validation_error", "")):
            curves = [training["curves"][name] for training in row["trainings"] if training["curves"]]
            line = [(epoch, fmean(values)) for epoch, values in enumerate(zip(*curves, strict=True), start=1)]
            lines.append((f"{_series(index)}{css}", line))
    return scatter([], x=Axis("epoch"), y=Axis("error", True, (0.0,)), lines=lines, whole=True)


def _errors(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["network", "parameters", "training error", "validation error", "test error", "published, test"]
    cells = [
        [row["label"], f"{row['params']:,}",
         *(_cell(row, name) for name in ("training_error", "validation_error", "test_error")),
         "; ".join(map(_published, row["published"])) or "\u2013"]
        for row in rows
    ]  # fmt: skip
    return table(head, cells, wide=(5,))


def _cell(row: Mapping[str, Any], name: str) -> str:
    values = [training[name] for training in row["trainings"]]
    if row["final"][name] is None:
        return "diverged"
    if len(values) == 1:
        return percent(values[0])
    return f"{percent(row['final'][name])} ({100 * min(values):.1f}\u2013{100 * max(values):.1f})"


def _published(error: Mapping[str, Any]) -> str:
    value = f"over {error['above']:g} %" if error["percent"] is None else f"{error['percent']:g} %"
    source = error["source"].split(",")[0].replace(" et al.", "")
    return f"{value} (depth {error['depth']}, {error['data']}, {source})"


def _group(name: Group, document: Mapping[str, Any], dashes: str) -> str:
    rows = [each for each in document["networks"] if each["group"] == name]
    title = f"{TITLES[name]}, {document['depths'][-1]} layers"
    return section(
        name, title, *map(paragraph, ranking(document, name)), figure(_curves(rows), dashes, _key(rows)), _errors(rows)
    )


def _gradients(rows: Sequence[Mapping[str, Any]], document: Mapping[str, Any]) -> str:
    """By layer before training and after it, and at the first layer by epoch; plain dashed, residual solid."""
    depths = document["depths"]
    styles = [f"{_series(depths.index(row['depth']))}{' dashed' if row['link'] == 'plain' else ''}" for row in rows]
    key = legend(*((f"~{style}", row["label"]) for style, row in zip(styles, rows, strict=True)))
    norms = [_norms(row) for row in rows]
    layer, norm = Axis("layer, from the image on"), Axis("norm of the gradient")

    def by_layer(index: int) -> str:
        lines = [(style, list(enumerate(of[index][1], start=1))) for style, of in zip(styles, norms, strict=True) if of]
        return scatter([], x=layer, y=norm, lines=_positive(lines), log=True, whole=True)

    first = [(style, [(epoch, values[0]) for epoch, values in of]) for style, of in zip(styles, norms, strict=True)]
    batch = (
        f"Of the mean loss of {document['gradient_images']:,} training images, a batch of the recipe, in training mode"
    )
    return section(
        "gradients",
        "The gradient by layer",
        *map(paragraph, gradient(document)),
        figure(by_layer(0), f"{batch}, before the first step. Dashed: plain; solid: residual.", key),
        figure(by_layer(-1), f"After {document['epochs']} epochs.", key),
        figure(scatter([], x=Axis("epoch"), y=norm, lines=_positive(first), log=True, whole=True),
               "At the first layer, while the networks train.", key),
    )  # fmt: skip


def _norms(row: Mapping[str, Any]) -> list[tuple[int, list[float]]]:
    """(epoch, geometric means over the seeds of the norm at each layer), at the epochs at which it was measured."""
    measured = [training["gradient"] for training in row["trainings"] if training["gradient"]["norms"]]
    if not measured:
        return []
    every = zip(*(gradient["norms"] for gradient in measured), strict=True)
    means = [[geometric_mean([value or 1e-12 for value in values]) for values in zip(*of, strict=True)] for of in every]
    return list(zip(measured[0]["epochs"], means, strict=True))


def _positive(
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]],
) -> list[tuple[str, list[tuple[float, float]]]]:
    """The lines without values that a logarithm does not take."""
    return [(css, [(at, value) for at, value in line if value > 1e-12]) for css, line in lines]
