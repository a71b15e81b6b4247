"""The text of one unit's class: its layers, and `forward` as the unit's slots say."""

from __future__ import annotations

from archsearch.architecture.composites import Unit
from archsearch.export.code import WIDTH, Code, Expression, flat, laid
from archsearch.export.layers import is_relu
from archsearch.export.units import UnitClass

DOCS = {
    "replace": "Layers one after another, without a shortcut.",
    "add": "Adds what its branch computes to its input (He et al. 2015, arXiv:1512.03385).",
    "dense": "Appends what its branch computes to its input (Huang et al. 2017, arXiv:1608.06993).",
    "dual_path": "Adds the first channels of its branch to its input, appends the others (Chen et al. 2017, "
    "arXiv:1707.01629).",
    "gated": "A learned gate weighs the branch against the input (Srivastava et al. 2015, arXiv:1505.00387).",
}
INIT = ("shared", "branch", "shortcut", "gate", "gain", "after")
KEPT = ("residual", "growth", "survival", "shortcut_scale", "branch_scale")


def class_text(made: UnitClass) -> str:
    """The whole class."""
    lines = [f"class {made.name}(nn.Module):", f'    """{_doc(made.first.unit)}"""', ""]
    lines += [_signature(made), "        super().__init__()"]
    for slot in INIT:
        if slot in made.slots:
            lines += _slot(made, slot)
    for name in KEPT:
        if isinstance(value := made.numbers.get(name), Code):
            lines.append(f"        self.{name} = {value.text}")
    for norm in made.first.zeroed():
        lines.append(f"        nn.init.zeros_(self.branch.{norm}.weight)")
    if "gate_bias" in made.numbers:
        gate = next(name for name, op in made.first.unit.gate.steps)
        lines.append(f"        nn.init.constant_(self.gate.{gate}.bias, {flat(made.numbers['gate_bias'])})")
    lines += ["", "    def forward(self, x: Tensor) -> Tensor:"]
    return "\n".join([*lines, *(" " * 8 + line for line in _forward(made))])


def _doc(unit: Unit) -> str:
    if unit.gated != "none":
        return DOCS["gated"]
    return DOCS[unit.join if unit.join != "concat" else "dual_path" if unit.residual else "dense"]


def _signature(made: UnitClass) -> str:
    """Those with a default come last."""
    words = []
    for name in made.parameters.ordered():
        kind = "int" if made.parameters.is_whole(name) else "float"
        words.append(f"{name}: {kind}")
    words.sort(key=lambda word: word.startswith("stride"))
    words = [f"{word} = 1" if word.startswith("stride") else word for word in words]
    words += ["projects: bool = False"] if made.flag else []
    line = f"    def __init__({', '.join(['self', *words])}) -> None:"
    if len(line) <= WIDTH:
        return line
    inside = [f"        {word}," for word in ("self", *words)]
    return "\n".join(["    def __init__(", *inside, "    ) -> None:"])


def _slot(made: UnitClass, slot: str) -> list[str]:
    if slot == "shortcut" and made.when is not None:
        start = "            self.shortcut = "
        return [
            "        self.shortcut: nn.Module = nn.Identity()",
            f"        if {flat(made.when)}:",
            start + laid(made.slots[slot], indent=12, before=len(start)),
        ]
    start = f"        self.{slot} = "
    return [start + laid(made.slots[slot], indent=8, before=len(start))]


def _forward(made: UnitClass) -> list[str]:
    """after( join( shortcut(x), gain * branch(x) ) ), x = shared(x)."""
    unit = made.first.unit
    lines = ["x = torch.relu(x)"] if is_relu(unit.shared) else ["x = self.shared(x)"] if "shared" in made.slots else []
    f = "self.gain(self.branch(x))" if "gain" in made.slots else "self.branch(x)"
    h = "self.shortcut(x)" if "shortcut" in made.slots else "x"
    f, h = _scaled(made, "branch_scale", f), _scaled(made, "shortcut_scale", h)
    if unit.join == "replace":
        return [*lines, f"return {_after(made, f)}"]
    if unit.gated != "none":
        lines.append("gate = self.gate(x)")
    if unit.survival != 1:
        lines += _dropped(made, h) if unit.survival_per == "batch" else []
        lines += [f"f = {f}", *_rescaled(made)]
        f = "f"
    if unit.join == "concat" and unit.residual:
        r = _number(made, "residual")
        if not r.isdigit():
            lines, r = [*lines, f"r = {r}"], "r"
        lines += [f"f = {f}"] if f != "f" else []
        lines += [f"h = {h}"] if h != "x" else []
        h = "h" if h != "x" else "x"
        joined = f"torch.cat([{h}[:, :{r}] + f[:, :{r}], {h}[:, {r}:], f[:, {r}:]], dim=1)"
    elif unit.join == "concat":
        joined = f"torch.cat([{h}, {f}], dim=1)"
    else:
        # The branch first: where both drop units, they draw in the order in which archsearch does.
        weighed = {"none": f, "both": f"gate * {f}", "shortcut": f}[unit.gated]
        joined = f"{weighed} + {h if unit.gated == 'none' else f'(1 - gate) * {h}'}"
    return [*lines, f"return {_after(made, joined)}"]


def _dropped(made: UnitClass, h: str) -> list[str]:
    """Stochastic depth a batch: the branch is not computed at all."""
    unit, lines = made.first.unit, []
    if unit.join == "concat":
        lines += [f"    h = {h}"] if h != "x" else []
        name = "h" if h != "x" else "x"
        zeros = f"{name}.new_zeros(len({name}), {_number(made, 'growth')}, *{name}.shape[2:])"
        left = f"torch.cat([{name}, {zeros}], dim=1)"
    else:
        left = h if unit.gated == "none" else f"(1 - gate) * {h}"
    test = f"if self.training and torch.rand(()) >= {_number(made, 'survival')}:"
    return [f"{test}  # without the branch", *lines, f"    return {_after(made, left)}"]


def _rescaled(made: UnitClass) -> list[str]:
    """Stochastic depth's draws an image, and what makes up for those that are dropped."""
    unit, p = made.first.unit, _number(made, "survival")
    kept = f"f * (torch.rand(len(f), 1, 1, 1) < {p}).to(f)" if unit.survival_per == "sample" else ""
    if unit.survival_rescale == "train":
        return ["if self.training:", f"    f = {kept or 'f'} / {p}"]
    if kept:
        return [f"f = {kept} if self.training else {p} * f"]
    return ["if not self.training:", f"    f = {p} * f"]


def _scaled(made: UnitClass, scale: str, text: str) -> str:
    return f"{_number(made, scale)} * {text}" if scale in made.numbers else text


def _number(made: UnitClass, name: str) -> str:
    """A literal, or what `__init__` has kept."""
    value: Expression = made.numbers[name]
    return f"self.{name}" if isinstance(value, Code) else flat(value)


def _after(made: UnitClass, text: str) -> str:
    if is_relu(made.first.unit.after):
        return f"torch.relu({text})"
    return f"self.after({text})" if "after" in made.slots else text
