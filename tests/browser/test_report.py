"""The report in a real browser: it asks for nothing, complains of nothing, fits, and answers who points at it."""

from pathlib import Path
from typing import Any

import pytest

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
    assert opened.page.locator(f"#curves svg.wide polyline.on[data-t={trial}]").count() == 1
    opened.page.keyboard.press("Escape")
    assert opened.page.locator("#tip.up").count() == 0
    assert opened.said == []
    opened.page.close()


def test_the_narrower_space_is_copied_with_a_click(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file)
    block = opened.page.locator("#next .copied")
    block.get_by_role("button").click()
    opened.page.wait_for_function("document.querySelector('#next .copied button').textContent === 'Copied'")
    assert block.locator("pre").inner_text().startswith("archsearch: 1")
    opened.page.close()


def test_it_prints(chromium: Any, file: Path) -> None:
    opened = Opened(chromium, file, width=390, dark=True)
    opened.page.emulate_media(media="print")
    assert opened.page.locator("#tradeoff svg.wide").is_visible()
    assert not opened.page.locator("#tradeoff svg.narrow").is_visible()
    assert opened.colour("body") == "rgb(255, 255, 255)"
    assert opened.page.pdf(format="A4")[:5] == b"%PDF-"
    opened.page.close()
