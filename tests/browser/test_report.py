"""The report in a real browser: it asks for nothing, complains of nothing, fits, and answers who points at it."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from archsearch.analysis.report import Context, document, page, read_experiment
from tests.analysis.report.searches import confirm, experiment
from tests.browser.pages import Opened, browser


@pytest.fixture(scope="module")
def chromium() -> Any:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    place = tmp_path_factory.mktemp("browser")
    folder = experiment(place, 60, fail=0.1)
    confirm(folder, 3)
    reading = read_experiment(folder, Context(startup=10))
    folder.report.write_text(page(reading, document(reading)))
    return folder.report


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_asks_for_nothing(chromium: Any, file: Path, width: int, dark: bool) -> None:
    opened = Opened(chromium, file, width=width, dark=dark)
    assert opened.said == []
    assert opened.asked == []
    assert opened.overflow <= 0
    shown = opened.page.locator("section svg.chart:visible")
    assert shown.count() >= 6
    assert all(box["width"] <= width for box in (shown.nth(i).bounding_box() for i in range(shown.count())))
    paper = [int(part) for part in opened.colour("body").removeprefix("rgb(").removesuffix(")").split(",")]
    assert (max(paper) < 60) == dark
    opened.page.close()


def test_a_trial_that_is_pointed_at_is_told_of_and_shown_everywhere(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file)
    dot = opened.page.locator("#tradeoff svg.wide circle.front").first
    trial = dot.get_attribute("data-t")
    dot.scroll_into_view_if_needed()
    tip = opened.page.locator("#tip.up")
    for _ in range(40):  # the page scrolls smoothly: on a busy machine the dot is elsewhere a moment later
        dot.hover(force=True)
        if tip.count():
            break
        opened.page.wait_for_timeout(250)
    assert trial in tip.inner_text()
    assert "FLOPs" in tip.inner_text()
    assert opened.page.locator(f"#curves figure:first-of-type svg.wide polyline.on[data-t={trial}]").count() == 1
    opened.page.keyboard.press("Escape")
    assert opened.page.locator("#tip.up").count() == 0
    assert opened.said == []
    opened.page.close()


def test_the_narrower_space_is_copied_with_a_click(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file)
    block = opened.page.locator("#narrower .copied")
    block.get_by_role("button").click()
    opened.page.wait_for_function("document.querySelector('#narrower .copied button').textContent === 'Copied'")
    assert block.locator("pre").inner_text().startswith("archsearch: 1")
    opened.page.close()


def test_the_leaderboard_is_sorted_by_a_click_and_by_the_keyboard(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file)
    table = opened.page.locator("#leaderboard table")
    heads = [text.strip() for text in table.locator("thead th").all_inner_texts()]

    def column(name: str) -> list[str]:
        return table.locator(f"tbody td:nth-child({heads.index(name) + 1})").all_inner_texts()

    def order(name: str) -> str | None:
        return table.locator("thead th").nth(heads.index(name)).get_attribute("aria-sort")

    ranked = column("trial")
    assert (order("#"), order("accuracy")) == ("ascending", None)
    table.get_by_role("button", name="accuracy").click()
    assert (order("#"), order("accuracy")) == (None, "descending")
    values = [float(text.removesuffix(" %")) for text in column("accuracy") if text.endswith("%")]
    assert values == sorted(values, reverse=True)
    assert set(column("accuracy")[len(values) :]) == {"\u2013"}, "those without a score are last"
    table.get_by_role("button", name="FLOPs").focus()
    opened.page.keyboard.press("Enter")
    assert order("FLOPs") == "ascending"
    flops = list(map(float, table.locator("td:nth-child(6)").evaluate_all("cells => cells.map(c => c.dataset.v)")))
    assert flops == sorted(flops) and len(set(flops)) > 10
    opened.page.keyboard.press("Space")
    assert order("FLOPs") == "descending"
    table.get_by_role("button", name="block").click()
    assert column("block") == sorted(column("block"))
    table.get_by_role("button", name="cardinality").click()
    table.get_by_role("button", name="cardinality").click()
    cardinalities = column("cardinality")
    present = [int(text) for text in cardinalities if text != "n/a"]
    assert present == sorted(present, reverse=True) and set(cardinalities[len(present) :]) == {"n/a"}
    table.get_by_role("button", name="#").click()
    assert column("trial") == ranked
    assert opened.said == []
    opened.page.close()


def test_the_trials_and_the_narrower_space_are_saved_without_a_network(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file)
    with opened.page.expect_download() as started:
        opened.page.get_by_text("Download CSV").click()
    assert started.value.suggested_filename == "small-trials.csv"
    rows = list(csv.DictReader(io.StringIO(started.value.path().read_text())))
    assert [row["trial"] for row in rows] == opened.page.locator("#leaderboard td:nth-child(2)").all_inner_texts()
    assert {row["block"] for row in rows} == {"basic", "bottleneck"}
    with opened.page.expect_download() as started:
        opened.page.get_by_text("Download narrower.yaml").click()
    assert started.value.suggested_filename == "narrower.yaml"
    assert started.value.path().read_text().startswith("archsearch: 1\nname: small-narrow\n")
    assert f"archsearch run narrower.yaml --warm-start {file.parent}" in opened.page.locator("#next").inner_text()
    assert opened.said == []
    opened.page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_the_network_is_legible_and_as_dark_as_the_page(chromium: Any, file: Path, dark: bool) -> None:
    opened = Opened(chromium, file, dark=dark)
    drawing = opened.page.locator("#networks .drawing svg").first
    scale = drawing.evaluate("svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width")
    sizes = drawing.evaluate(
        "svg => [...svg.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize))"
    )
    assert min(sizes) * scale >= 11
    with Image.open(io.BytesIO(drawing.screenshot())) as picture:
        corner = picture.convert("L").getpixel((12, 12))
    assert (corner < 60) == dark
    opened.page.close()


def test_each_budget_has_its_name_and_all_have_one_scale(chromium: Any, tmp_path: Path) -> None:
    folder = experiment(tmp_path, 12, "budget={flops: {max: 40M}, params: {max: 1M}}")
    reading = read_experiment(folder, Context(startup=10))
    folder.report.write_text(page(reading, document(reading)))
    opened = Opened(chromium, folder.report)
    names = opened.page.locator(".budget div > span:first-child").all_inner_texts()
    assert names == ["FLOPs budget", "Parameter budget"]
    widths = opened.page.locator(".meter").evaluate_all("all => all.map(each => each.getBoundingClientRect().width)")
    assert len(set(widths)) == 1 and widths[0] > 200
    assert "FLOPs, log scale" in opened.page.locator("#tradeoff figure").nth(0).inner_text()
    assert "parameters, log scale" in opened.page.locator("#tradeoff figure").nth(1).inner_text()
    opened.page.close()


def test_it_prints(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file, width=390, dark=True)
    opened.page.emulate_media(media="print")
    assert opened.page.locator("#tradeoff svg.wide").is_visible()
    assert not opened.page.locator("#tradeoff svg.narrow").is_visible()
    assert opened.page.locator("#next .screen:visible, .copied button:visible, a.button:visible").count() == 0
    headings = opened.page.locator("h2, h3").evaluate_all(
        "all => all.map(heading => getComputedStyle(heading).breakAfter)"
    )
    assert set(headings) == {"avoid"}
    assert opened.colour("body") == "rgb(255, 255, 255)"
    assert opened.page.pdf(format="A4")[:5] == b"%PDF-"
    opened.page.close()
