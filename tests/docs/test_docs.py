"""The documentation says what is so: commands that exist, generated pages up to date, links that lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
import yaml

from archsearch.cli.dispatch import command_of
from archsearch.cli.table import VERBS, find
from archsearch.sources import own
from archsearch.space.loading import load_space
from tests.docs.reading import PAGES, ROOT, Command, blocks, commands


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 25
    assert {verb.name for verb in VERBS} - {c.words[0] for c in commands()} == set(), "a verb that no page shows"


@pytest.mark.parametrize("command", commands(), ids=str)
def test_a_command_of_the_docs_is_one(command: Command) -> None:
    """Its verb is there and takes the arguments and options as they are written."""
    word, *rest = command.words
    if word in ("--help", "--version"):
        return
    verb = find(word)
    assert verb is not None, f"no verb {word}"
    if not rest:  # it is only spoken of
        return
    parsed = command_of(verb)
    try:
        parsed.make_context(f"archsearch {word}", [each for each in rest if each != "--debug"])
    except typer.Exit as leaving:
        assert leaving.exit_code == 0  # --help


SETUP = "    sh scripts/setup && .venv/bin/archsearch run search_spaces/digits.yaml"


def test_the_command_has_one_spelling() -> None:
    """`archsearch`: in the README after the two commands of its set-up and the line that leads from them to it, on
    every other page, and in what the program prints."""
    readme = (ROOT / "README.md").read_text()
    assert [line for line in readme.splitlines() if line.startswith("    sh scripts/setup")] == [
        SETUP,
        "    sh scripts/setup && .venv/bin/pytest",
    ]
    assert "`. .venv/bin/activate`" in readme.partition("## Next steps")[0]
    texts = {page: page.read_text() for page in [*PAGES, *ROOT.glob("archsearch/**/*.py"), *ROOT.glob("launch/**/*")]
             if page.is_file()}  # fmt: skip
    texts[ROOT / "README.md"] = readme.replace(SETUP, "")
    other = [
        f"{page.relative_to(ROOT)}: {line.strip()}"
        for page, text in texts.items()
        for line in text.splitlines()
        if re.search(r"\.venv/bin/archsearch|python3? -m archsearch(?![.`])", line)
    ]
    assert other == []


def test_the_cores_line_of_pip_names_what_its_list_does() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text()
    (line,) = re.findall(r"^pip install (torch .*)$", page, re.MULTILINE)
    listed = (ROOT / "requirements-core.txt").read_text().splitlines()
    assert line.split() == [re.split("[>=]", name)[0] for name in listed if not name.startswith("#")]


def test_the_site_is_built_offline_and_strictly(tmp_path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "tutorial.html").read_text()
    assert "From a folder of images" in page
    fetched = [
        word for word in page.split('"') if word.startswith(("http://", "https://")) and word.endswith((".js", ".css"))
    ]
    assert not fetched, "everything that a page needs is beside it"


def files() -> list[tuple[str, str]]:
    """Search-space files of the pages; a part of one stands for the rest of the tutorial's."""
    return [
        (page.relative_to(ROOT).as_posix(), text)
        for page in PAGES
        for language, text in blocks(page)
        if language == "yaml"
    ]


class Scans:
    """What the page on layouts names as a class of one's own."""

    def __init__(self, path: str) -> None:
        self.labels = ["benign", "malignant"] * 5

    def read(self, number: int) -> bytes:
        raise NotImplementedError


@pytest.mark.parametrize(("page", "text"), files())
def test_a_search_space_of_the_docs_is_valid(page: str, text: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in "ab":
        (tmp_path / "my-images" / kind).mkdir(parents=True)
    rows = [f"{number}.png,{kind},train,1,{number}" for number, kind in enumerate("abab" * 5)]
    header = "photo,species,fold,importance,patient" if "species" in text else "path,label,split,weight,group"
    Path("labels.csv").write_text("\n".join([header, *rows]))
    monkeypatch.setattr(own, "ALLOWED_CLASSES", {"my_images:Scans"})
    monkeypatch.setitem(sys.modules, "my_images", SimpleNamespace(Scans=Scans))
    whole = next(text for page, text in files() if page == "docs/tutorial.md")
    words = {**yaml.safe_load(whole), "budget": {}, **yaml.safe_load(text)}  # other images, another budget
    Path("space.yaml").write_text(yaml.safe_dump(words))
    assert load_space(Path("space.yaml")).name == words["name"]
