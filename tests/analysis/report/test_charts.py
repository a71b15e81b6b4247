"""The charts' geometry: every mark and label lies within its chart, and labels stand beside what they name."""

import re
from pathlib import Path
from typing import Any

import pytest

from archsearch.analysis.report.charts import Canvas, side_label, stairs
from archsearch.analysis.report.curves import best_so_far, learning
from archsearch.analysis.report.document import document
from archsearch.analysis.report.findings import networks
from archsearch.analysis.report.html import table
from archsearch.analysis.report.page import page
from archsearch.analysis.report.parallel import confirmed, parallel
from archsearch.analysis.report.reading import Context, read_experiment
from archsearch.analysis.report.tradeoff import tradeoff
from tests.analysis.report.searches import confirm, experiment

CHART = re.compile(r'<svg class="chart[^>]*viewBox="0 0 (\S+) (\S+)".*?</svg>', re.DOTALL)


def positions(svg: str) -> list[tuple[float, float]]:
    """Where the dots, lines, labels, bars and the corners of paths and areas are."""
    found: list[tuple[float, float]] = []
    for x, y in (("cx", "cy"), ("x1", "y1"), ("x2", "y2"), ("x", "y")):
        found += [(float(a), float(b)) for a, b in re.findall(rf' {x}="([-\d.]+)"[^>]*? {y}="([-\d.]+)"', svg)]
    for points in re.findall(r'points="([^"]*)"', svg):
        found += [(float(a), float(b)) for a, b in (pair.split(",") for pair in points.split())]
    return found


def test_everything_lies_within_its_chart(tmp_path: Path) -> None:
    folder = experiment(tmp_path, 60, fail=0.1)
    confirm(folder, 3)
    reading = read_experiment(folder, Context(startup=10, baselines={"resnet8_cifar": {"flops": 6e5, "params": 5e3}}))
    charts = list(CHART.finditer(page(reading, document(reading))))
    assert len(charts) >= 16  # eight, at two widths
    for chart in charts:
        width, height = float(chart[1]), float(chart[2])
        drawn = positions(chart[0])
        assert len(drawn) > 4
        outside = [(x, y) for x, y in drawn if not (-1 <= x <= width + 1 and -1 <= y <= height + 1)]
        assert outside == [], chart[0][:200]


def test_the_best_three_networks_are_drawn(tmp_path: Path) -> None:
    reading = read_experiment(experiment(tmp_path, 60), Context(startup=10))
    report = document(reading)
    assert len(report["top"]) > 3
    assert networks(reading, report).count("<svg") == 3


def test_the_axis_of_the_best_so_far_holds_all_trials(tmp_path: Path) -> None:
    report = document(read_experiment(experiment(tmp_path, 60), Context(startup=10)))
    ticks = re.findall(r'text-anchor="middle">(\d+)</text>', best_so_far(report, "trials"))
    assert 40 <= max(map(int, ticks)) <= 60


def test_confirmed_intervals_fill_their_chart() -> None:
    def row(name: str, low: float, high: float) -> dict[str, Any]:
        interval = {"mean": (low + high) / 2, "low": low, "high": high, "half": (high - low) / 2, "n": 3}
        return {"name": name, "winner": False, "validation": interval, "test": None}

    chart = next(CHART.finditer(confirmed([row("a", 0.90, 0.92), row("b", 0.93, 0.95)])))  # type: ignore[list-item]
    means = [float(x) for x in re.findall(r'cx="([\d.]+)"', chart[0])]
    assert max(means) - min(means) > 0.45 * (float(chart[1]) - 190 - 24)  # 3 of the 5 points from end to end


@pytest.mark.parametrize(("before", "x", "anchor"), [(True, "95", "end"), (False, "105", "start")])
def test_a_label_stands_beside_its_mark(before: bool, x: str, anchor: str) -> None:
    text = side_label(100, 20, "budget", "name", gap=5, before=before)
    assert f'x="{x}"' in text
    assert f'text-anchor="{anchor}"' in text


def test_stairs_are_level_and_then_rise() -> None:
    assert stairs([(0, 1), (2, 3), (5, 4)]) == [(0, 1), (2, 1), (2, 3), (5, 3), (5, 4)]
    assert stairs([]) == []


def test_ticks_are_round_and_within_the_scale() -> None:
    canvas = Canvas(400, 200)
    assert canvas.x(0, 10).ticks(5) == [0, 2, 4, 6, 8, 10]
    assert canvas.y(0.81, 0.99).ticks(4) == pytest.approx([0.85, 0.9, 0.95])
    assert canvas.x(1e3, 1e6, log=True).ticks(6) == pytest.approx([1e3, 1e4, 1e5, 1e6])


def test_an_axis_names_as_many_ticks_as_have_room() -> None:
    canvas = Canvas(400, 200)
    x, y = canvas.x(0, 10), canvas.y(0, 1)

    def named(text: str) -> list[str]:
        drawn = canvas.axes(x, y, x_name="", y_name="", x_text=lambda value: f"{text}{value:g}", digits=0)
        return re.findall(rf">({text}[\d.]+)<", drawn)

    ticks = x.ticks(4 if canvas.narrow else 8)
    assert named("n") == [f"n{value:g}" for value in ticks]
    assert named("n" * 12) == [f"{'n' * 12}{value:g}" for value in ticks[::2]]


def test_only_the_winners_row_is_marked_in_a_table() -> None:
    rows = re.findall(r"<tr([^>]*)><td", table(["name"], [["a"], ["b"], ["c"]], wins=[1]))
    assert rows == ["", ' class="win"', ""]


def test_the_lines_of_choices_name_their_values(tmp_path: Path) -> None:
    folder = experiment(tmp_path, 60)
    report = document(read_experiment(folder, Context(startup=10)))
    blocks = {row["choices"]["block"] for row in report["rows"]}
    named = re.findall(r'class="rail-tick"[^>]*>([^<]*)</text>', "".join(parallel(report)))
    assert blocks <= set(named)


def test_of_many_trials_the_charts_draw_the_best_and_an_even_choice_of_the_others(tmp_path: Path) -> None:
    """720 trials, of which 240 finished, in the order of their accuracy."""
    report = document(read_experiment(experiment(tmp_path, 30), Context(startup=10)))
    rows = [{**row, "trial": f"t{i:02}-{row['trial']}"} for i in range(24) for row in report["rows"]]
    report = {**report, "rows": rows}  # type: ignore[typeddict-item]
    ranked = [row["trial"] for row in sorted(rows, key=lambda row: row["value"])]
    finished = [row["trial"] for row in rows if row["state"] == "finished"]
    others = [row["trial"] for row in rows if row["state"] != "finished"]

    def drawn(svg: str, mark: str) -> list[str]:
        wide = next(CHART.finditer(svg))[0]
        return re.findall(rf'<{mark}[^>]*data-t="([^"]*)"', wide)

    threads, note = parallel(report)
    assert drawn(threads, "polyline") == [*ranked[:-150:4], *ranked[-150:]]
    assert note == "293 of 720 trials are drawn, the best among them."
    curves, note = learning(report)
    chosen = [others[i * 480 // 60] for i in range(60)]
    assert drawn(curves, "polyline") == finished  # one epoch is no line
    assert drawn(curves, "circle") == chosen
    assert note == "60 of 480 trials that were not trained to the end are drawn."
    assert set(re.findall(r' r="([0-9.]+)" class="trial', tradeoff(report, "flops", []))) == {"3.4"}
    few = {**report, "rows": rows[:300]}  # type: ignore[typeddict-item]
    assert set(re.findall(r' r="([0-9.]+)" class="trial', tradeoff(few, "flops", []))) == {"4.5"}  # type: ignore[arg-type]
    assert (parallel(few)[1], learning(few)[1]) == ("", "")  # type: ignore[arg-type]
