"""docs/timm.md: which networks of timm's residual files are in the zoo, by the counts in tests/zoo/timm.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

from archsearch import InputError, zoo
from archsearch.architecture.cost import cost
from archsearch.network.published import layout_for

COUNTS = Path(__file__).parents[2] / "tests" / "zoo" / "timm.json"
Counts = dict[str, dict[str, dict[str, int]]]
# What the grammar does not say, by the first pattern that is in the name. The last one is for all others.
REASONS = (
    (r"_pruned", "pruned: each block has widths of its own"),
    (r"evos", "EvoNorm"),
    (r"frn", "filter response normalisation"),
    (r"dpn48b", "SiLU in the stem and behind the last stage, but ReLU in the blocks"),
    (r"regnetv", "pre-activated blocks whose identity shortcuts are behind norm and activation too"),
    (r"regnety_2560", "more than 8,192 channels"),
    (r"legacy_seresnet(18|34)", "a ReLU at the branch's end and another behind the addition"),
    (r"_sgn$", "group normalisation with groups of one width"),
    (r"regnetz", "an activation, or a convolution with norm, behind the last stage of blocks without it"),
    (r"densenetblur", "a blur in the transitions"),
    (r"vgg", "hidden layers in the head"),
    (r"test_", "stages of different blocks, for timm's tests"),
    (r"", "a key that the grammar does not have"),
)


def differences(name: str, theirs: dict[str, int]) -> str | None:
    """Where our network of that name and timm's differ in parameters and in fvcore's counts; empty where in nothing,
    None where the zoo has no such name."""
    try:
        counted = cost(zoo.get(name))
    except InputError:
        return None
    ours = {"params": counted.params, **counted.by_operator()}
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return "; ".join(f"{key}: {ours.get(key, 0):,}, timm {theirs.get(key, 0):,}" for key in keys)


def reason(name: str) -> str:
    """Why the zoo has no network of this name."""
    return next(text for pattern, text in REASONS if re.search(pattern, name))


def page() -> str:
    """The page."""
    counts: Counts = json.loads(COUNTS.read_text())
    rows, remaining = [], []
    for file, networks in counts.items():
        equal = [name for name, theirs in networks.items() if differences(name, theirs) == ""]
        converted = [name for name in equal if layout_for(zoo.get(name), "timm")]
        rows.append(f"| {file}.py | {len(networks)} | {len(equal)} | {len(converted)} |")
        remaining += [
            f"| {name} | {differences(name, theirs) or reason(name)} |"
            for name, theirs in networks.items()
            if name not in equal
        ]
    total = sum(len(networks) for networks in counts.values())
    sums = [sum(int(row.split("|")[column]) for row in rows) for column in (3, 4)]
    return TEXT.format(
        rows="\n".join(rows), total=total, equal=sums[0], converted=sums[1], remaining="\n".join(remaining)
    )


TEXT = """# timm's residual networks

Of the {total} networks in timm's files of the residual family (1.0.31, without aliases), {equal} are in the zoo
by their names. Each has timm's number of parameters and fvcore's counts of timm's module, operator by operator,
at 224x224; a test holds that. Where weights convert, `archsearch.convert_weights(state_dict, NAME, "timm")`
renames a state dict of timm's, and `--weights` takes timm's file; `python -m scripts.timm_networks --outputs`
compares the outputs, with weights drawn at random.

| file | networks | in the zoo | weights convert |
|---|---|---|---|
{rows}
| all | {total} | {equal} | {converted} |

## Those without a name in the zoo

| network | what the grammar does not say |
|---|---|
{remaining}
"""
