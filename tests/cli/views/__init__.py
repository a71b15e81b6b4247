"""What a person sees of searches that nobody trained: every view of the command line, as text of a fixed width.

    .venv/bin/python -m tests.cli.views     # writes tests/cli/views/reference/*.txt anew

Colours stand as the numbers of their ANSI codes in angle brackets, so that a bar shows how full it is.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.cli.views.progress import confirmations, lines, live, trainings, watched
from tests.cli.views.results import checked, foretold, summaries

FOLDER = Path(__file__).parent / "reference"
SHOWN: Sequence[Callable[..., Iterator[str]]] = (
    live, lines, watched, trainings, confirmations, summaries, checked, foretold,
)  # fmt: skip
VIEWS: Mapping[str, Callable[..., Iterator[str]]] = {view.__name__: view for view in SHOWN}


def in_a_folder(name: str, place: Path) -> str:
    """A view's text; the times since the start of what this machine does are left out."""
    view = VIEWS[name]
    parts = view(place) if view.__code__.co_argcount else view()
    text = "\n".join(part.rstrip() for part in parts) + "\n"
    if view in (confirmations, trainings):
        text = re.sub(r"^ +\d+:\d\d  ", "   TIME  ", text, flags=re.MULTILINE)
    return text.replace(str(place), "PLACE")
