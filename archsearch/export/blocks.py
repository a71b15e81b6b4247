"""Blocks that differ by their numbers alone -> a function, whose parameters are those numbers, and loops over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from archsearch.export.code import WIDTH, Argument, Code, Loop, Node, Value, laid

LOOP = 3  # blocks from which on a run is a loop
WIDTHS = ("in_channels", "out_channels", "num_features", "channels", "out", "hidden", "residual", "growth")
ORDER = ("channels", "inner", "out", "hidden", "residual", "growth")
DEFAULTS: dict[str, tuple[str, Value]] = {"stride": ("1", 1), "shortcut": ("None", Code("None"))}
Path = tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """The text of a function, and the calls that stand for the given nodes, in their order."""

    text: str
    calls: tuple[Node, ...]


def groups(nodes: Iterable[Node]) -> list[list[Node]]:
    """Different nodes that one function can make: equal but for numbers, and for units' shortcuts."""
    forms: dict[Node, list[Node]] = {}
    for node in dict.fromkeys(nodes):
        form = filled(_without_shortcut(node), iter(lambda: Code("number"), None))
        forms.setdefault(form, []).append(node)
    return list(forms.values())


def function(nodes: list[Node], name: str, returns: str) -> Function:
    """A function that makes each of these nodes, which are a group."""
    bodies = [_without_shortcut(node) for node in nodes]
    columns = zip(*([value for _, value in numbers(body)] for body in bodies), strict=True)
    body = [(path, column) for (path, _), column in zip(numbers(bodies[0]), columns, strict=True)]
    names = _names(body)
    filling = [Code(names[key]) if (key := _key(path, column)) in names else column[0] for path, column in body]
    result = filled(bodies[0], iter(filling))
    columns_of: dict[str, tuple[Value, ...]] = {names[key]: key[1] for key in names}
    shortcuts = tuple(_shortcut(node) for node in nodes)
    if len(set(shortcuts)) > 1:
        columns_of["shortcut"] = shortcuts
        result = replace(result, arguments=(*result.arguments, Argument("shortcut", Code("shortcut"))))
    elif shortcuts[0] != Code("None"):
        result = replace(result, arguments=(*result.arguments, Argument("shortcut", shortcuts[0])))
    ordered = sorted(columns_of, key=lambda n: (n in DEFAULTS, _rank(n)))
    calls = tuple(
        Node(name, tuple(
            Argument(n, columns_of[n][index], positional=_rank(n) < len(ORDER), default=DEFAULTS.get(n, ("", None))[1])
            for n in ordered
        ))
        for index in range(len(nodes))
    )  # fmt: skip
    parameters = [_parameter(n, columns_of[n]) for n in ordered]
    head = f"def {name}({', '.join(parameters)}) -> {returns}:"
    if len(head) > WIDTH:
        head = "\n".join([f"def {name}(", *(f"    {parameter}," for parameter in parameters), f") -> {returns}:"])
    start = "    return "
    return Function(f"{head}\n{start}{laid(result, indent=4, before=len(start))}", calls)


def compressed(blocks: list[tuple[int, Node]]) -> list[Argument]:
    """Numbered blocks one after another; those alike, or whose whole numbers rise by the same step, as loops."""
    arguments: list[Argument] = []
    while blocks:
        (number, first), count = blocks[0], _progression(blocks)
        if count < LOOP:
            arguments.append(Argument(f"block{number}", first))
            blocks = blocks[1:]
            continue
        loop = Loop(first, number, number + count)
        steps = _steps(first, blocks[1][1])
        if steps and any(steps):
            rising = tuple(_rising(argument, step) for argument, step in zip(first.arguments, steps, strict=True))
            loop = Loop(replace(first, arguments=rising), 0, count, offset=number)
        arguments.append(Argument(f"block{number}", loop, positional=True))
        blocks = blocks[count:]
    return arguments


def numbers(value: Value, path: Path = ()) -> Iterator[tuple[Path, int | float]]:
    """All numbers in the order of the source, each with the names of the arguments that lead to it."""
    if isinstance(value, Node):
        for argument in value.arguments:
            yield from numbers(argument.value, (*path, argument.name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def filled(node: Node, values: Iterator[Value]) -> Node:
    """The node, each number replaced by the next of the values."""

    def replaced(value: Value) -> Value:
        if isinstance(value, Node):
            return filled(value, values)
        return next(values) if isinstance(value, int | float) and not isinstance(value, bool) else value

    return replace(
        node, arguments=tuple(replace(argument, value=replaced(argument.value)) for argument in node.arguments)
    )


def _key(path: Path, column: tuple[Value, ...]) -> tuple[str, tuple[Value, ...]]:
    """Equal for numbers that are one parameter: of one kind, and the same in each block."""
    return "width" if path[-1] in WIDTHS else path[-1], column


def _names(body: list[tuple[Path, tuple[int | float, ...]]]) -> dict[tuple[str, tuple[Value, ...]], str]:
    """The parameters: the numbers that differ between blocks."""
    varying = [(path, _key(path, column)) for path, column in body if len(set(column)) > 1]
    widths = [(path, _key(path, column)) for path, column in body if path[-1] in WIDTHS and len(path) > 1]
    last = [key for path, key in widths if _is_last(path)]
    usual: dict[object, str] = {}
    for key, name in ((widths[0][1], "channels"), *((key, "out") for key in last[-1:])) if widths else ():
        usual.setdefault(key, name)
    names: dict[tuple[str, tuple[Value, ...]], str] = {}
    for path, key in varying:
        if key not in names:
            role = ("hidden" if "weights" in path else "inner") if path[-1] in WIDTHS[:3] else path[-1]
            usual_name = usual.get(key, role)
            clashes = sum(name.rstrip("0123456789") == usual_name for name in names.values())
            names[key] = f"{usual_name}{clashes + 1}" if clashes else usual_name
    return names


def _is_last(path: Path) -> bool:
    """Whether this is what a layer of the branch emits, or of a projection; attention apart."""
    return path[-1] == "out_channels" and "weights" not in path and (path[0] == "branch" or len(path) == 2)


def _rank(name: str) -> int:
    """Widths come first, and by position."""
    name = name.rstrip("0123456789")
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _parameter(name: str, values: tuple[Value, ...]) -> str:
    if name == "shortcut":
        return "shortcut: nn.Module | None = None"
    kind = "int" if all(isinstance(value, int) for value in values) else "float"
    return f"{name}: {kind}" + (f" = {DEFAULTS[name][0]}" if name in DEFAULTS else "")


def _shortcut(node: Node) -> Value:
    return next((argument.value for argument in node.arguments if argument.name == "shortcut"), Code("None"))


def _without_shortcut(node: Node) -> Node:
    return replace(node, arguments=tuple(argument for argument in node.arguments if argument.name != "shortcut"))


def _progression(blocks: list[tuple[int, Node]]) -> int:
    """How many blocks from the first on are of one function, each of its whole numbers rising by the same step."""
    first, count = blocks[0][1], 1
    steps = _steps(first, blocks[1][1]) if len(blocks) > 1 else None
    while steps is not None and count < len(blocks):
        if _steps(first, blocks[count][1]) != [count * step for step in steps]:
            break
        count += 1
    return count


def _steps(first: Node, second: Node) -> list[int] | None:
    """By how much each argument rises; None where the functions, or arguments that are no whole numbers, differ."""
    if first.function != second.function:
        return None
    steps = []
    for a, b in zip(first.arguments, second.arguments, strict=True):
        if type(a.value) is int and type(b.value) is int:
            steps.append(b.value - a.value)
        elif a.value == b.value:
            steps.append(0)
        else:
            return None
    return steps


def _rising(argument: Argument, step: int) -> Argument:
    if not step:
        return argument
    text = f"n + {argument.value!r}" if step == 1 else f"{argument.value!r} {'+' if step > 0 else '-'} {abs(step)} * n"
    return replace(argument, value=Code(text))
