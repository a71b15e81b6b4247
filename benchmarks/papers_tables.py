"""The claims of papers.py with their tolerances, each judged by the store's results; tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results" / "papers.md"
BEGIN, END = "<!-- tables: papers.py --render -->", "<!-- end of tables -->"
INTRODUCTION = """# The papers' experiments, repeated

`python benchmarks/papers.py`: degradation (He 2015), lesions and paths (Veit 2016), landscapes (Li 2018) and the time
of stochastic depth (Huang 2016), by the functions behind `archsearch analyze`. What counts as held was written before
the run (`papers_tables.CLAIMS`). Four networks were trained on images of Fashion-MNIST with each seed, by He 2015's
recipe in fewer and smaller steps; "published" networks are those of pytorch_resnet_cifar10, looked at on CIFAR-10 as
JPEG, where they are about 81 % right. Blocks were deleted on test images, gradients and losses are of a few images: the
last line says how many.
"""
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]
Outcome = tuple[bool, str]


@dataclass(frozen=True)
class Claim:
    """What is expected, with its tolerance; `judge` gives whether it held and what came out, None where nothing ran."""

    number: int
    paper: str
    expected: str
    judge: Callable[[Results], Outcome | None]


def seeds_of(results: Results, section: str, name: str) -> list[Mapping[str, Any]]:
    rows = results.get(section, {})
    return [rows[key] for key in sorted(rows) if key.startswith(f"{name}-s")]


def in_each(values: Sequence[bool], shown: Iterator[str] | Sequence[str]) -> Outcome | None:
    """Held where it is true of every seed."""
    if not values:
        return None
    return all(values), f"{sum(values)} of {len(values)}: {', '.join(shown)}"


def final_losses(results: Results, name: str) -> list[float]:
    """Of each seed the loss on training images after the last epoch; infinite where the training diverged."""
    networks = results.get("degradation", {}).get("fashion", {}).get("networks", [])
    losses = [training["training_loss"] for row in networks if row["network"] == f"{name}_cifar"
              for training in row["trainings"]]  # fmt: skip
    return [math.inf if loss is None else loss for loss in losses]


def losses_of(first: str, second: str, tolerance: float, *, above: bool) -> Callable[[Results], Outcome | None]:
    def judge(results: Results) -> Outcome | None:
        pairs = list(zip(final_losses(results, first), final_losses(results, second), strict=True))
        held = [a > b if above else a <= b + tolerance for a, b in pairs]
        return in_each(held, [f"{a:.3f} against {b:.3f}" for a, b in pairs])

    return judge


def deleted(figures: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [block for block in figures["blocks"] if block["deleted"]]


def rise(figures: Mapping[str, Any]) -> float:
    """By how many points of error the median deletion is above the whole network."""
    return 100 * (median(block["error"] for block in deleted(figures)) - figures["whole"]["error"])


def worst(figures: Mapping[str, Any], count: int = 2) -> list[Mapping[str, Any]]:
    return sorted(deleted(figures), key=lambda block: -block["error"])[:count]


def lesions_of(results: Results, of: str) -> list[Mapping[str, Any]]:
    published = results.get("lesion", {}).get("resnet56-published")
    return seeds_of(results, "lesion", "resnet56") if of == "trained" else [published] if published else []


def small_rise(of: str) -> Callable[[Results], Outcome | None]:
    def judge(results: Results) -> Outcome | None:
        rises = [rise(figures) for figures in lesions_of(results, of)]
        return in_each([value <= 1 for value in rises], [f"{value:+.1f} points" for value in rises])

    return judge


def worst_at_samplings(of: str) -> Callable[[Results], Outcome | None]:
    def judge(results: Results) -> Outcome | None:
        chosen = [worst(figures) for figures in lesions_of(results, of)]
        shown = [
            " and ".join(f"{block['path']} ({100 * block['error']:.1f} %)" for block in blocks) for blocks in chosen
        ]
        return in_each([all(block["changes_shape"] for block in blocks) for blocks in chosen], shown)

    return judge


def plain_breaks(results: Results) -> Outcome | None:
    errors = [
        median(block["error"] for block in deleted(figures)) for figures in seeds_of(results, "lesion", "plain20")
    ]
    return in_each([error >= 0.6 for error in errors], [f"{100 * error:.1f} %" for error in errors])


def every_path(results: Results) -> list[Mapping[str, Any]]:
    """Of the ResNet-56: the published one, then those that were trained."""
    published = results.get("paths", {}).get("resnet56-published")
    return [*([published] if published else []), *seeds_of(results, "paths", "resnet56")]


def is_a_line(results: Results) -> Outcome | None:
    decays = [figures["decay"] for figures in every_path(results)]
    held = [decay["r_squared"] >= 0.95 and decay["factor"] < 1 for decay in decays]
    return in_each(held, [f"R2 {decay['r_squared']:.3f}, factor {decay['factor']:.2f}" for decay in decays])


def few_paths(results: Results) -> Outcome | None:
    rows = [figures["effective"] for figures in every_path(results)]
    shown = [f"{100 * row['share']:.2g} % ({row['from']} to {row['to']} blocks)" for row in rows]
    return in_each([row["share"] < 0.02 for row in rows], shown)


def wider(results: Results) -> Outcome | None:
    pairs = [
        (figures["below_twice_the_least"], other["below_twice_the_least"])
        for figures in seeds_of(results, "landscape", "resnet56")
        for other in figures.get("beside", [])
    ]
    return in_each([a > b for a, b in pairs], [f"{100 * a:.1f} % against {100 * b:.1f} %" for a, b in pairs])


def equal_losses(results: Results) -> Outcome | None:
    rows = list(results.get("checks", {}).values())
    if not rows:
        return None
    largest = max(row["largest_difference"] for row in rows)
    return largest <= 1e-5, f"{largest:.1e} at most, of {sum(row['points'] for row in rows)} points"


def saves_time(results: Results) -> Outcome | None:
    row = results.get("depth", {}).get("resnet110")
    if row is None:
        return None
    saved = row["time_saved"]
    shown = (
        f"{100 * saved['median']:.1f} % ({100 * saved['low']:.1f} to {100 * saved['high']:.1f}, quartiles of "
        f"{saved['n']} rounds); {100 * row['blocks_saved']:.2f} % of the blocks"
    )
    return 0.22 <= saved["median"] <= 0.28, shown


HE, VEIT, LI, HUANG = "He 2015", "Veit 2016", "Li 2018", "Huang 2016"
CLAIMS = (
    Claim(1, HE, "training loss of plain-56 above that of plain-20, in every seed",
          losses_of("plain56", "plain20", 0.0, above=True)),
    Claim(1, HE, "training loss of ResNet-56 at most 0.02 above that of ResNet-20, in every seed",
          losses_of("resnet56", "resnet20", 0.02, above=False)),
    Claim(2, VEIT, "published ResNet-56, one block deleted: median error at most 1 point higher",
          small_rise("published")),
    Claim(2, VEIT, "published ResNet-56: the two worst deletions are the down-sampling blocks",
          worst_at_samplings("published")),
    Claim(2, VEIT, "trained ResNet-56: median error at most 1 point higher, in every seed", small_rise("trained")),
    Claim(2, VEIT, "trained ResNet-56: the two worst deletions are the down-sampling blocks, in every seed",
          worst_at_samplings("trained")),
    Claim(2, VEIT, "plain-20, one block deleted: median error 60 % or more, in every seed", plain_breaks),
    Claim(3, VEIT, "ResNet-56: log gradient by path length is a falling line, R2 0.95 or more, in every network",
          is_a_line),
    Claim(3, VEIT, "ResNet-56: the effective interval holds less than 2 % of the paths, in every network", few_paths),
    Claim(4, LI, "share of the square with a loss below twice the least: larger in ResNet-56 than in plain-56, in "
          "every seed", wider),
    Claim(4, LI, "losses as an independent evaluation has them, to 1e-5 (relative above 1)", equal_losses),
    Claim(5, HUANG, "stochastic depth saves 22 to 28 % of the time of ResNet-110's training steps", saves_time),
)  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def verdicts(results: Results) -> str:
    rows = []
    for claim in CLAIMS:
        outcome = claim.judge(results)
        verdict, shown = ("not run", "") if outcome is None else ("held" if outcome[0] else "not held", outcome[1])
        rows.append([str(claim.number), claim.paper, claim.expected, verdict, shown])
    return table(["", "paper", "expected, written before the run", "verdict", "what came out"], rows)


def trainings(results: Results) -> str:
    rows = []
    for network in results.get("degradation", {}).get("fashion", {}).get("networks", []):
        for training in network["trainings"]:
            values = [training[f"{name}_error"] for name in ("training", "validation", "test")]
            errors = ["diverged" if value is None else f"{100 * value:.1f}" for value in values]
            start = training["gradient"]["norms"][0][0] if training["gradient"]["norms"] else None
            loss = training["training_loss"]
            rows.append([network["label"], str(training["seed"]), "" if loss is None else f"{loss:.3f}", *errors,
                         "" if start is None else f"{start:.3g}"])  # fmt: skip
    head = ["network", "seed", "training loss", "training error %", "validation error %", "test error %",
            "gradient of the first layer at the start"]  # fmt: skip
    return table(head, rows) if rows else ""


def lesion_rows(results: Results) -> str:
    rows = []
    for name, figures in results.get("lesion", {}).items():
        errors = {row["blocks"]: median(score["error"] for score in row["scores"]) for row in figures["deleted"]}
        middle = min(errors, key=lambda count: abs(count - len(errors) / 2))
        rows.append([name, f"{100 * figures['whole']['error']:.1f}",
                     f"{100 * median(block['error'] for block in deleted(figures)):.1f}",
                     ", ".join(f"{block['path']} {100 * block['error']:.1f}" for block in worst(figures)),
                     f"{100 * errors[middle]:.1f} (of {middle})",
                     "none" if figures["pruned"] is None else str(len(figures["pruned"]["removed"])),
                     f"{100 * figures['work']['share']:.0f}"])  # fmt: skip
    head = ["network", "error %", "median without one block %", "worst two %", "median without several %",
            "blocks that can go", "cost of all lesions, % of separate evaluations"]  # fmt: skip
    return table(head, rows) if rows else ""


def path_rows(results: Results) -> str:
    rows = [
        [name, str(figures["blocks"]), f"{figures['decay']['factor']:.3f}", f"{figures['decay']['r_squared']:.3f}",
         f"{figures['effective']['from']} to {figures['effective']['to']}",
         f"{100 * figures['effective']['share']:.2g}"]
        for name, figures in results.get("paths", {}).items()
    ]  # fmt: skip
    head = ["network", "blocks", "gradient, by a block more", "R2", "effective lengths", "share of the paths %"]
    return table(head, rows) if rows else ""


def landscape_rows(results: Results) -> str:
    rows = []
    for figures in (
        each for whole in results.get("landscape", {}).values() for each in (whole, *whole.get("beside", []))
    ):
        values = [value for row in figures["values"] for value in row if value is not None]
        below = sum(value < 1 for value in values) / len(figures["values"]) ** 2
        rows.append([figures["network"], f"{figures['loss']:.3f}", f"{min(values):.3f}", f"{max(values):.3g}",
                     f"{100 * figures['below_twice_the_least']:.1f}", f"{100 * below:.1f}"])  # fmt: skip
    head = ["network", "loss at the weights", "least", "highest", "below twice the least, %", "loss below 1, %"]
    return table(head, rows) if rows else ""


def text(document: Mapping[str, Any]) -> str:
    """All tables, with the machine, the versions and how long it took."""
    results = document["results"]
    took = sum(row["seconds"] for section in results.values() for row in section.values())
    size = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in document["size"].items())
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    facts = f"{document['machine']}; {versions}; {took / 60:.0f} minutes. {size}."
    parts = [verdicts(results), trainings(results), lesion_rows(results), path_rows(results), landscape_rows(results)]
    return "\n\n".join([*(part for part in parts if part), facts])


def rendered(document: Mapping[str, Any]) -> None:
    """Writes the tables into RESULTS, between its markers; what stands around them is kept."""
    before, after = f"{INTRODUCTION}\n{BEGIN}", f"{END}\n"
    if RESULTS.is_file():
        whole = RESULTS.read_text()
        before, after = whole[: whole.index(BEGIN) + len(BEGIN)], whole[whole.index(END) :]
    RESULTS.write_text(f"{before}\n\n{text(document)}\n\n{after}")
