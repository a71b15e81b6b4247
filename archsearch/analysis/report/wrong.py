"""The section on where the winner is wrong: classes, pairs of classes, single images, and its probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.mistakes import ClassRow, Mistake, Mistakes, Rate, at_fault
from archsearch.analysis.report.charts import NOTHING, percent
from archsearch.analysis.report.figures import Document
from archsearch.analysis.report.html import figure, folded, legend, paragraph, section, table
from archsearch.analysis.report.matrix import DRAWN, WRITTEN, confusion, reliability
from archsearch.analysis.report.numbers import off
from archsearch.analysis.report.pictures import Pictures, gallery, item
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.svg import clean
from archsearch.analysis.trust import Trust
from archsearch.training.calibration import SMALLEST_BIN

TITLE = "Where it is wrong"
LISTED = 20  # classes of the table that is not folded


def wrong(reading: Reading, report: Document) -> str:
    """The section; where the winner's outputs are not known, a sentence that says why, or nothing before a test."""
    figures = report["mistakes"]
    if report["residuals"] is not None:
        return off(report["residuals"], reading.pictures, TITLE)
    if figures is None:
        tested = report["winner"] is not None and report["winner"]["test"] is not None
        reason = f"It cannot be said where the network is wrong: {report['why_no_mistakes']}."
        return section("wrong", TITLE, paragraph(reason)) if tested and report["why_no_mistakes"] else ""
    parts = [paragraph(_lead(figures)), *_matrix(figures), *_by_class(figures), *_pairs(figures)]
    parts += [*_images(figures, reading.pictures), *_trust(figures)]
    return section("wrong", _title(figures), *parts)


def _title(figures: Mistakes) -> str:
    share = f"{figures['wrong']:,} of {figures['images']:,} {figures['split']} images"
    return f"{TITLE}: {share}"


def _lead(figures: Mistakes) -> str:
    several = figures["task"] == "multi_label"
    text = f"All figures are of the {figures['split']} images" + (
        ", which were evaluated once, for the winner alone. " if figures["split"] == "test" else ". "
    )
    if several:
        text += "An image counts as wrong where one of its labels is. A label is predicted from its threshold on, "
        text += "which was chosen on the validation images. "
    return (text + fault(figures)).strip()


def fault(figures: Mistakes | None) -> str:
    """A sentence on the class that stands out; an empty text where none does."""
    row = at_fault(figures)
    if row is None:
        return ""
    text = f"Class {row['name']} stands out: {row['count'] - row['right']:,} of {row['count']:,} wrong"
    return text + (f", most of them predicted as {row['taken_for']}." if row["taken_for"] is not None else ".")


def _matrix(figures: Mistakes) -> list[str]:
    chart = confusion(figures)
    count = len(figures["classes"])
    caption = "A row is a class, a column what its images are predicted as; the stronger a cell's colour, the larger "
    caption += "its share of the row. Mistakes are drawn twice as strong."
    if count > WRITTEN:
        caption += " Rows and columns are in the order of the classes; pointing at a cell shows its classes."
    if count > DRAWN:
        caption += f" Only the {DRAWN} classes with the most mistakes are drawn."
    listed = ""
    if chart and count <= WRITTEN and figures["matrix"] is not None:
        names = [row["name"] for row in figures["classes"]]
        cells = [(name, *map(str, row)) for name, row in zip(names, figures["matrix"], strict=True)]
        listed = folded("As a table", table(("class \u2193, predicted \u2192", *names), cells))
    return [figure(chart, caption, table=listed)]


def _by_class(figures: Mistakes) -> list[str]:
    kind = "label" if figures["task"] == "multi_label" else "class"
    head = (kind, "images", "recall", "95 % interval", "precision", "95 % interval", "F1")
    rows = sorted(figures["classes"], key=lambda row: (row["recall"]["value"] is None, row["recall"]["value"] or 0.0))
    cells = [_class(row) for row in rows]
    text = f"Each {kind}, the one with the lowest recall first"
    note = f"Recall: the share of a {kind}'s images that is found. Precision: the share of the images predicted as it "
    note += "that is right. Intervals: Wilson."
    first = table(head, cells[:LISTED])
    more = folded(f"The other {len(cells) - LISTED}", table(head, cells[LISTED:])) if len(cells) > LISTED else ""
    return [f"<h3>{clean(text)}</h3>", first, more, paragraph(note, "note")]


def _class(row: ClassRow) -> tuple[str, ...]:
    recall, precision = row["recall"], row["precision"]
    f1 = NOTHING if row["f1"] is None else f"{row['f1']:.3f}"
    return (row["name"], f"{row['count']:,}", percent(recall["value"]), _interval(recall),
            percent(precision["value"]), _interval(precision), f1)  # fmt: skip


def _interval(rate: Rate) -> str:
    return NOTHING if rate["low"] is None else f"{percent(rate['low'])} to {percent(rate['high'])}"


def _pairs(figures: Mistakes) -> list[str]:
    rows = [(row["label"], row["predicted"], str(row["count"])) for row in figures["pairs"][:10]]
    if not rows or len(figures["classes"]) <= WRITTEN:
        return []
    return ["<h3>The most confused pairs</h3>", table(("class", "predicted as", "images"), rows, left=(0, 1))]


# ---- single images


def _images(figures: Mistakes, pictures: Pictures) -> list[str]:
    parts = []
    if figures["suspects"]:
        some = f"{len(figures['suspects'])} of " if figures["suspected"] > len(figures["suspects"]) else ""
        text = (
            f"{some}{figures['suspected']:,} validation and test images that are predicted as another class with at "
            "least the probability that this class has on average where it is the label (confident learning, Northcutt "
            "et al. 2021). The less accurate the network, the more of them are only hard."
        )
        parts += ["<h3>Labels that may be wrong</h3>", paragraph(text, "note")]
        parts += [_gallery(figures["suspects"], pictures)]
    if figures["worst"]:
        parts += ["<h3>The worst mistakes</h3>"]
        text = "The wrong predictions that give the label the least probability (the highest loss)"
        parts += [paragraph(text + (", but for those above." if figures["suspects"] else "."), "note")]
        parts += [_gallery(figures["worst"], pictures)]
    if parts and pictures.why_not:
        parts += [paragraph(f"No pictures: {pictures.why_not}.", "note")]
    return parts


def _gallery(rows: Sequence[Mistake], pictures: Pictures) -> str:
    return gallery(_item(row, pictures) for row in rows)


def _item(row: Mistake, pictures: Pictures) -> str:
    probability = percent(row["probability"]).replace(" ", "\N{NO-BREAK SPACE}")
    name = row["name"] or f"{row['split']} image {row['image']}"
    text = f"predicted {row['predicted']}, {probability}"
    return item(pictures, (row["split"], row["image"]), row["label"], text, name)


# ---- probabilities


def _trust(figures: Mistakes) -> list[str]:
    trust = figures["trust"]
    scaled = trust["temperature"] != 1
    key = legend(
        ("seen", "as trained, with its 95 % interval"),
        ("tested", f"divided by the temperature {trust['temperature']:.3g}" if scaled else ""),
        ("~expected", "probabilities that can be trusted"),
    )
    caption = "Predictions in ten bins by their probability: above the line more of them are right than predicted, "
    caption += f"below it fewer. The bars count them; bins of fewer than {SMALLEST_BIN} are not drawn."
    title = f"Its probabilities are off by {100 * trust['error']:.1f} points on average"
    return [f"<h3>{clean(title)}</h3>", figure(reliability(trust), caption, key), paragraph(_how(trust), "note")]


def _how(trust: Trust) -> str:
    text = f"The expected calibration error, over equally filled bins, is {percent(trust['error'], 2)}"
    if trust["temperature"] == 1:
        return f"{text}. {trust['note']}".strip()
    return (
        f"{text}; with scores divided by {trust['temperature']:.3g}, the temperature that was fitted to the validation "
        f"images (Guo et al. 2017), it is {percent(trust['scaled'], 2)}. `archsearch export` writes such a temperature."
    )
