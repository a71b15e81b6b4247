"""The charts' geometry: every mark and label lies within its chart, and labels stand beside what they name."""

import re
from pathlib import Path
from typing import Any

import pytest

from archsearch.analysis.report.charts import Canvas, along, callout, percentages, stairs
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


def test_a_label_stands_beside_its_mark_and_covers_no_other() -> None:
    canvas = Canvas(400, 200)
    beside = callout(canvas, 100, 90, "t0007", "name", [(100, 90)])
    assert (x := float(re.search(r'x="([\d.]+)"', beside)[1])) == pytest.approx(100 + 15 + 5 * 13 * 0.6 / 2, abs=0.1)
    assert "<line" not in beside
    crowd = [(100.0 + dx, 90.0 + dy) for dx in range(-50, 60, 10) for dy in range(-20, 30, 10)]
    marks = list(crowd)
    away = callout(canvas, 100, 90, "t0007", "name", marks)
    x, y = (float(re.search(rf'<text.*? {axis}="([\d.]+)"', away)[1]) for axis in "xy")
    assert "<line" in away, "a line leads to it"
    assert all(abs(a - x) > 5 * 13 * 0.6 / 2 or abs(b - (y - 4)) > 10 for a, b in crowd)
    assert callout(canvas, 100, 90, "t0008", "name", marks) != away.replace("t0007", "t0008"), "labels make room too"
    at_the_edge = callout(canvas, 395, 90, "t0007", "name", [(395, 90)])
    assert float(re.search(r'<text x="([\d.]+)"', at_the_edge)[1]) < 395


def test_no_label_covers_a_trial(tmp_path: Path) -> None:
    folder = experiment(tmp_path, 60, fail=0.1)
    baselines = {name: {"flops": flops, "params": 5e3} for name, flops in (("a", 6e5), ("b", 6.1e5), ("c", 3e5))}
    reading = read_experiment(folder, Context(startup=10, baselines=baselines))
    report = document(reading)
    for chart in CHART.finditer(tradeoff(report, "flops", report["front"]) + best_so_far(report, "trials")):
        dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart[0])]
        for line in re.findall(r'<polyline points="([^"]*)" class="(?:front-line|steps [\w-]+)"', chart[0]):
            dots += along([(float(a), float(b)) for a, b in (pair.split(",") for pair in line.split())], 2)
        named = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="(?:winner|other)-name"[^>]*>([^<]*)<', chart[0])
        assert named
        for x, y, text in named:
            half = 13 * 0.6 * len(text) / 2
            assert not [d for d in dots if abs(d[0] - float(x)) < half and abs(d[1] - float(y) + 4) < 9], (
                text,
                chart[0],
            )


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [([0.4, 0.425, 0.45], ["40.0 %", "42.5 %", "45.0 %"]), ([0.4, 0.5, 0.6], ["40 %", "50 %", "60 %"]),
     ([0.9825, 0.985], ["98.25 %", "98.50 %"]), ([1 / 3], ["33.333 %"])],
)  # fmt: skip
def test_ticks_are_written_as_what_they_are(ticks: list[float], texts: list[str]) -> None:
    assert [*map(percentages(ticks), ticks)] == texts


def test_the_scatter_is_as_large_as_what_it_shows(tmp_path: Path) -> None:
    """Scores of rungs far below the front are not drawn, so neither axis makes room for them."""
    folder = experiment(tmp_path, 40)
    report = document(read_experiment(folder, Context(startup=10)))
    poor = next(row for row in report["rows"] if row["state"] == "paused")
    poor |= {"value": 0.05, "cost": {**poor["cost"], "flops": 100}}
    chart = next(CHART.finditer(tradeoff(report, "flops", report["front"])))
    pattern = r'<circle cx="([\d.]+)" cy="([\d.]+)"[^>]*class="(?:front|trial)"'
    dots = [(float(x), float(y)) for x, y in re.findall(pattern, chart[0])]
    for drawn, low, high in ((0, 56, 840), (1, 28, 374)):
        values = [dot[drawn] for dot in dots]
        assert max(values) - min(values) > 0.8 * (high - low)


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
        drawn = canvas.axes(x, y, x_name="", y_name="", x_text=lambda value: f"{text}{value:g}")
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
