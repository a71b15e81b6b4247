"""What a newcomer sees behind `archsearch ui`, in a real browser: the best trial first, its drawing, the model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archsearch.experiment import Ledger
from archsearch.tracking import register, serve, sync
from tests.browser.pages import browser
from tests.search.local import drive_locally, tiny
from tests.tracking.test_ui import free_port

PATIENCE = 120_000  # milliseconds: MLflow's page is large, and the machine may be busy


@pytest.mark.slow
def test_the_search_is_found_sorted_drawn_and_registered(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    space, folder = tiny(tmp_path, "search.trials=4", "search.early_stopping={kind: none}", "training.epochs=2")
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:
        ledger.end("finished")
        best = ledger.best()
    sync(folder, uri)
    assert register(folder, uri) == "tiny version 1"
    with serve(folder, uri, port=free_port()) as view, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.goto(view.url)
        page.get_by_text("t0004", exact=True).first.wait_for(timeout=PATIENCE)
        shown = re.findall(r"\bt000\d\b", page.inner_text("body"))
        assert shown[0] == best.id, "sorted by accuracy, the best first"
        for column in ("accuracy", "final_accuracy", "flops"):
            assert page.get_by_text(column, exact=True).count(), f"no column {column}"
        page.get_by_text(best.id, exact=True).first.click()
        page.get_by_text("Registered models").wait_for(timeout=PATIENCE)
        assert page.get_by_text("tiny", exact=True).count(), "the run links to its model"
        page.goto(page.url.split("?")[0].rstrip("/") + "/artifacts")
        page.get_by_text("drawing.svg").first.click(timeout=PATIENCE)
        page.locator("img").first.wait_for(timeout=PATIENCE)
        page.goto(view.url.split("#")[0] + "#/models/tiny/versions/1")
        page.get_by_text(best.digest).first.wait_for(timeout=PATIENCE)
