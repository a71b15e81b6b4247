"""docs/grammar.md: each family of the literature as the slots of one unit, in tables made from the plan."""

from __future__ import annotations

from archsearch.analysis.outline import Column, label
from archsearch.architecture.block import Block
from archsearch.architecture.composites import Sequence, Unit
from archsearch.architecture.ops import Conv
from archsearch.architecture.slots import gate_bias
from scripts.pages.lineage import Specimen, families

TITLE = """\
# The grammar: every family as slots of one unit

Generated from the code, including the tables, by `python -m scripts.pages`; a test fails if the page and the code
differ. `archsearch profile NAME --draw NAME.svg` draws a network in these terms.

## The unit

A network is a stem, stages of blocks, and a head. Every block of every family is one unit:

    unit(x) = after( join( h(s), w F(s) ) ),   s = shared(x)

| slot | content |
|---|---|
| `shared` s | norm and ReLU before both sides; empty if both take x itself |
| `branch` F | convolutions with norms and ReLUs (or another `nonlinearity`), then attention |
| `shortcut` h | empty (identity), zero padding, a projection, an average pool before it, dropout |
| `gate` g | a convolution and a sigmoid, if a gate weights the two sides |
| `gain` w | a learned scalar |
| join | `replace`: F; `add`: h + F, or with a gate g F + (1 - g) h or F + (1 - g) h; `concat`: h and F side by side \
(‖), the first r channels added where r > 0 |
| `after` | norm and ReLU after the join |

Both sides can have a constant factor, and stochastic depth keeps the branch with probability p in training.
He et al. (arXiv:1603.05027) write y = h(x) + F(x), x' = f(y), which is the same with `after` for f.

Below, `3x3, 64` is a convolution with 64 channels, `g32` its groups, `/2` its stride; `pad` is option A. The tables
show a stage that halves the resolution: its entry if it has one, the block that changes the shape, and the others.
Keys that are not shown have their defaults (docs/search-space.md lists them all). They are those of a network's file;
in a search space `kind` is called `block`, and `norm_eps` is not among its keys.

What the grammar does not say: branches whose convolutions have different kernels
other than 1x1 and one other, and networks without stages of equal blocks.
"""

START = """\
## Initialisation

- **Convolutions**: He initialisation (arXiv:1502.01852), normal with variance 2 / (kernel² · out), which keeps the
  scale of gradients; torchvision and the released ResNeXts, DenseNets and Wide ResNets use the same, whatever the
  groups. ECA's convolution over channels: uniform within 1 / sqrt(kernel).
- **Norms**: scale 1, shift 0; with `zero_init` the last norm of a branch starts with scale 0 (Goyal 2017).
  **Linear layers**: uniform within 1 / sqrt(in). **Biases**: 0.
- **Gates**: their bias is `gate_bias`, by default {highway:g} for highway links and {gated:g} for the gates of He 2016,
  so that a network starts near its shortcuts.
- **Learned gains**: 0. Each block starts as its shortcut, and the gain stays in (-1, 1).

All weights are drawn on the CPU from one seeded generator, in the order of the modules.
"""

NEW = """\
## Adding a new paper

The grammar is in three short files, `architecture/plan.py` (what each slot gets), `architecture/slots.py` (the
content of a slot) and `architecture/attention.py`. Shapes, costs, modules, digests, drawings and this page are
computed from their ops.

1. **A key**: a field of `Block`, `Stage`, `Stem`, `Head` or `Survival` in `architecture/block.py` or `spec.py`, with a
   range, a description, and a default that does not change existing networks. Files, errors, the schema and the
   reference of search spaces follow from it.
2. **Its slot**: a case in `slots.py`, or in `plan.py` if it changes what is beside the branch.
3. Only for a layer that no op has yet: an op in `architecture/ops.py` (its shape, its cost and what training saves
   of it), its module in `network/` (`calls.py` maps ops to modules, `initialise.py` fills them), and its label in
   `analysis/outline.py`.
4. **A network of the paper** in `zoo/`, with the published figures, which tests then check; and a line in
   `scripts/pages/lineage.py`.
"""


def join_formula(unit: Unit) -> str:
    """What the join computes, from the branch F and the shortcut h."""
    f = "F" if unit.branch_scale == 1 else f"{unit.branch_scale:g} F"
    f = f"w {f}" if unit.gain.steps else f
    h = "h" if unit.shortcut_scale == 1 else f"{unit.shortcut_scale:g} h"
    match unit.join, unit.gated:
        case "replace", _:
            return f
        case "concat", _:
            return f"{h} ‖ {f}" if not unit.residual else f"first {unit.residual}: {h} + {f}; rest: {h} ‖ {f}"
        case _, "none":
            return f"{h} + {f}"
        case _, "both":
            return f"g {f} + (1 - g) {h}"
        case _:
            return f"{f} + (1 - g) {h}"


def page() -> str:
    """The page, for docs/grammar.md."""
    parts = [TITLE]
    for family in families():
        parts += [f"## {family.title}\n", f"{family.prose}\n"]
        for specimen in family.specimens:
            name = f"`{specimen.name}`" if specimen.name else "Without a name in the zoo"
            parts += [f"{name}: {specimen.fields()}\n", _table(specimen)]
    highway, gated = gate_bias(Block(kind="single", link="highway")), gate_bias(Block(gate="exclusive"))
    return "\n".join([*parts, START.format(highway=highway, gated=gated), NEW])


def _table(specimen: Specimen) -> str:
    """A column for the entry, the first block and the others, a row for each slot that one of them fills."""
    columns = specimen.columns()
    rows = [_cells(column) for column in columns]
    lines = ["| | " + " | ".join(column.title for column in columns) + " |", "|---|" + "---|" * len(columns)]
    for slot in ("layers", "shared", "branch", "shortcut", "gate", "gain", "join", "after", "training"):
        if any(slot in cells for cells in rows):
            lines.append(f"| {slot} | " + " | ".join(cells.get(slot, "") for cells in rows) + " |")
    return "\n".join(lines) + "\n"


def _cells(column: Column) -> dict[str, str]:
    unit = column.op
    if isinstance(unit, Sequence):
        return {"layers": _labels(unit)}
    slots = ("shared", "branch", "shortcut", "gate", "gain", "after")
    cells = {slot: _labels(getattr(unit, slot)) for slot in slots if getattr(unit, slot).steps}
    if unit.join != "replace" and "shortcut" not in cells:
        cells["shortcut"] = "identity"
    cells["join"] = join_formula(unit)
    return cells | ({"training": kept} if (kept := column.training(".2f")) else {})


def _labels(ops: Sequence) -> str:
    biases = (f" (bias {op.bias_init:g})" if isinstance(op, Conv) and op.bias_init else "" for _, op in ops.steps)
    return "; ".join(label(op) + bias for (_, op), bias in zip(ops.steps, biases, strict=True))
