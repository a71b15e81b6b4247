"""Chromium, where there is one: a page opened from disk, with everything that it complained of or asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def browser() -> Iterator[Any]:
    """Skips where there is no Chromium, or nothing to drive it with."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


class Opened:
    """A page from disk. `said` is what its console and its errors said, `asked` what it asked for beside itself."""

    def __init__(self, started: Any, file: Path, *, width: int = 1440, dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.page = started.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.asked = [url for url in self.asked if url != file.as_uri() and not url.startswith("data:")]

    @property
    def overflow(self) -> int:
        """Pixels that the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def colour(self, of: str) -> str:
        """The background of an element."""
        return str(self.page.evaluate(f"getComputedStyle(document.querySelector('{of}')).backgroundColor"))
