"""The search spaces that come with archsearch, by name: `digits` needs no file and no checkout."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean

_PACKAGE = Path(__file__).parents[1]
_INSIDE = _PACKAGE / "search_spaces"  # in an installed wheel; a checkout has them beside the package
FOLDER = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent / "search_spaces"


def space_path(space: str | Path) -> Path:
    """The file of a search space: `space` itself where it is one, else the shipped space of that name.

    A shipped space is known as `digits`, `digits.yaml` and `search_spaces/digits.yaml`. Any other path is returned
    unchanged, there or not. Raises InputError, with the nearest name, for a bare name that is neither.
    """
    path = Path(space)
    if path.parent not in (Path(), Path(FOLDER.name)) or path.suffix not in ("", ".yaml") or _holds(path.is_file):
        return path
    shipped = {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}
    if path.stem in shipped:
        return shipped[path.stem]
    hint = did_you_mean(path.stem, list(shipped))
    if _holds(path.exists) or (path.suffix and not hint):
        return path
    raise refuse(
        f"no search space {str(space)!r:.80}",
        allowed=f"a search-space file, or one of {', '.join(shipped)}",
        hint=hint,
        file="SPACE",
    )


def _holds(question: Callable[[], bool]) -> bool:
    """The answer to a question about a path; False for a path that the system does not take, such as one too long."""
    with suppress(OSError, ValueError):
        return question()
    return False
