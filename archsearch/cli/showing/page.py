"""The page that `archsearch check` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from archsearch.cli.showing.printing import percent, short, table

if TYPE_CHECKING:
    from archsearch.space import SearchSpace

BAR, WIDTH = 40, 100
ROOM = 14  # of the words on the left


def page(space: SearchSpace, found: dict[str, Any]) -> str:
    """All of it, from the document that --json prints."""
    lines = [f"{found['file']}: valid"]
    lines += [_row("note", note) for note in found["notes"]]
    lines += ["", _row("space", f"{found['name']}: {space.extent()} combinations")]
    if words := found["training_words"]:
        lines += [_row("", f"{space.networks()} of networks, each with every training: {', '.join(words)} vary")]
    lines += [_row("budget", _budget(space)), *_fits(found), *_out_of_reach(found)]
    lines += ["", *_costs(found), "", *_foretold(space, found), *_elsewhere(found)]
    bounded = [bound["name"] for bound in found["bounds"]]
    for name in dict.fromkeys(("flops", *bounded)):
        lines += ["", f"{name} of {_looked_at(found)} (# within the budget, . beyond)"]
        lines += _bars(found["histograms"][name])
    return "\n".join(lines)


def _row(word: str, text: str) -> str:
    lines = textwrap.wrap(text, WIDTH - ROOM) or [""]
    return "\n".join(f"{start:<{ROOM}}{line}" for start, line in zip((word, *[""] * len(lines)), lines, strict=False))


def _looked_at(found: dict[str, Any]) -> str:
    return f"all {found['samples']:,} networks" if found["every_network"] else f"{found['samples']:,} random networks"


def _budget(space: SearchSpace) -> str:
    parts = []
    for name, bound in space.budget.bounds():
        write = bound.text if name == "latency" else short
        low = f"{write(bound.low)} <= " if bound.low else ""
        parts.append(f"{low}{name}" + (f" <= {write(bound.high)}" if bound.high is not None else ""))
    return ", ".join(parts) or "none"


def _fits(found: dict[str, Any]) -> Iterator[str]:
    how = "" if found["every_network"] else ", each choice drawn as the file declares it"
    yield _row("fits", f"{percent(found['share_within_budget'])} of {_looked_at(found)}{how}")
    if found["impossible"]:
        yield _row("", f"{found['impossible']:,} are no networks: their images run out of pixels")
    several = len(found["bounds"]) > 1
    for bound in found["bounds"]:
        hardest = " (the hardest)" if several and bound["name"] == found["hardest"] else ""
        without = f"; without it {percent(bound['share_of_others'])} would fit" if several else ""
        sides = [f"{bound[side]:,} {side}" for side in ("below", "above") if bound[side]]
        sides_text = f" ({', '.join(sides)})" if sides else ""
        yield _row(f"  {bound['name']}", f"{percent(bound['share'])} keep it{sides_text}{without}{hardest}")
    for name in found["unmeasured"]:
        yield _row(f"  {name}", "is measured when the search runs; not counted here")


def _out_of_reach(found: dict[str, Any]) -> Iterator[str]:
    if found["unreachable"] is None:
        yield _row("warning", "none of them fits: whether some of the words' values are out of reach is not known")
        return
    words: dict[str, list[dict[str, Any]]] = {}
    for one in found["unreachable"]:
        words.setdefault(one["word"], []).append(one)
    for word, ones in words.items():
        values = ", ".join(_runs([one["value"] for one in ones]))
        least = min(one["tried"] for one in ones)
        if not least and len(ones) == 1:
            why = "is never asked for"
        elif found["every_network"]:
            why = "no network within the budget has it" if len(ones) == 1 else "no network within the budget has these"
        else:
            each = " or more with each" if ones[1:] else " with it"
            why = f"no network within the budget found, in {least:,}{each}"
        yield _row("out of reach", f"{word}: {values} ({why})")
    for word in found["passed_over"]:
        yield _row("", f"{word} has more than 64 values: none of them was looked for")


def _runs(values: Sequence[Any]) -> Iterator[str]:
    """Whole numbers in a row as first to last."""
    numbered = [(value - place if type(value) is int else f"{place}", value) for place, value in enumerate(values)]
    for _, run in groupby(numbered, key=lambda pair: pair[0]):
        own = [value for _, value in run]
        yield f"{own[0]} to {own[-1]}" if len(own) > 2 else ", ".join(map(str, own))


def _costs(found: dict[str, Any]) -> Iterator[str]:
    head = ("of what fits", "least", "5 %", "median", "95 %", "most", "median of all")
    rows = []
    for name, both in found["quantiles"].items():
        own, every = both["within_budget"], both["all"]
        if every:
            cells = [short(own.get(q)) for q in ("0.0", "0.05", "0.5", "0.95", "1.0")]
            rows.append((f"  {name}", *cells, short(every["0.5"])))
    yield table(head, rows)
    for word in ("cheapest", "dearest"):
        counted = found[word]
        about = "" if found["extremes_exact"] else "about "
        text = f"{about}{short(counted['flops'])} FLOPs, {short(counted['params'])} parameters; of the whole space"
        yield _row(word, text)


def _foretold(space: SearchSpace, found: dict[str, Any]) -> Iterator[str]:
    yield _row("search", f"{found['trials']} trials of at most {found['epochs']} epochs on {space.data.name}")
    if found["search_flops_at_most"]:
        yield _row("work", f"at most {short(found['search_flops_at_most'])} multiply-adds "
                           "(median network, forward and backward)")  # fmt: skip
    said, probe = found["forecast"], found["probe"]
    if said is None:
        yield _row("foretold", f"nothing: {found['not_foretold']}")
        return
    hours = f"{_long(said['hours'])} of training, {said['trials']} trials, {said['at_once']} at once"
    if said["gpu_hours"] is not None:
        hours += f"; {said['gpu_hours']:.2g} GPU hours"
    yield _row("foretold", f"about {hours}")
    mean = f"{_seconds(said['epoch_seconds'])} (mean of {said['networks']} networks that fit)"
    yield _row("", f"{said['trial_epochs']:.0f} epochs of {mean}, if rungs order trials well")
    if said["wall_hours"] is not None and said["hours"] >= said["wall_hours"]:
        yield _row("", "the wall time ends it: fewer trials, then the best train on as long as it lasts")
    elif said["trial_epochs"] < said["trial_epochs_at_most"]:
        most = "" if said["gpu_hours_at_most"] is None else f", {said['gpu_hours_at_most']:.2g} GPU hours"
        yield _row("", f"{_long(said['hours_at_most'])}{most} if none is stopped early")
    if said["at_once"] > 1:
        yield _row("", "trials at once share memory and caches: if they slow one another, it takes longer")
    if space.resources.gpus_per_trial and probe["device"] == "cpu":
        yield _row("", "no GPU is used here: hours are those of this machine's CPU")
    threads = f"{probe['threads']} thread{'s' if probe['threads'] > 1 else ''}"
    yield _row("probe", f"{len(probe['networks'])} networks in {probe['seconds']:.0f} s on {probe['device_name']}, "
                        f"{threads}, {probe['precision']}")  # fmt: skip
    if probe["busy"]:
        yield _row("warning", "the machine is busy: by the wall's clock all is too slow, several threads by far. "
                              "Check again when it is idle")  # fmt: skip
    yield _row("", f"a step is foretold to {100 * probe['error']:.0f} % (median, each network from the others)")


def _elsewhere(found: dict[str, Any]) -> Iterator[str]:
    said = found["cluster"]
    if said is None:
        return
    what, paid = ("core", said["core_hours"]) if said["gpu_hours"] is None else ("GPU", said["gpu_hours"])
    yield _row("cluster", f"{said['cluster']}, an estimate: {_between(said['hours'], _long)}, "
                          f"{_between(paid, _figure)} {what} hours, idle ones too")  # fmt: skip
    each = "" if said["lanes_per_device"] == 1 else f" ({said['lanes_per_device']:.3g} a {what})"
    start = _between(said["start_up_seconds"], _seconds)
    yield _row("", f"{said['lanes']} trials at once{each}, which ask for {said['cores']} cores; busy "
                   f"{_between(said['busy_share'], percent)} of the time; start-up {start}")  # fmt: skip
    yield _row("", f"{_between(said['epoch_seconds'], _seconds)} an epoch (mean), {said['precision']}, from "
                   f"{said['source']}")  # fmt: skip
    if said["bound"] is not None:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in said["bound"].items() if share)
        yield _row("", f"steps are bound by {shares} of the networks; nothing of that was measured here")
    if said["ends_by_wall_time"]:
        yield _row("", "the wall time may end it: fewer trials, then the best train on as long as it lasts")


def _between(both: dict[str, float], write: Callable[[float], str]) -> str:
    low, high = write(both["low"]), write(both["high"])
    return low if low == high else f"{low} to {high}"


def _figure(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _long(hours: float) -> str:
    if hours < 1 / 30:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:,.1f} hours" if hours < 100 else f"{hours:,.0f} hours"


def _bars(bins: list[dict[str, int]]) -> Iterator[str]:
    most = max((row["count"] for row in bins), default=1) or 1
    for row in bins:
        within = round(BAR * row["within_budget"] / most)
        beyond = round(BAR * row["count"] / most) - within
        label = f"{short(row['from']):>6} to {short(row['to']):>6}"
        yield f"  {label}  {row['count']:>7,}  {'#' * within}{'.' * beyond}".rstrip()
