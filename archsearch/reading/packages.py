"""What archsearch asks of other packages, by its own metadata, and which line of pip brings one that is missing."""

from __future__ import annotations

import re
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from archsearch.reading.errors import InputError, refuse

_LINE = re.compile(r"""(?P<name>[\w.-]+)(\[[^\]]*\])?(?P<bounds>[^;\s]*)\s*(;.*extra == ['"](?P<extra>\w+)['"])?""")
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}  # where the module has another name


class Requirement(NamedTuple):
    """The versions of a package that archsearch takes, as `>=2.9,<3`, and the extra that asks for it; "" for none."""

    bounds: str
    extra: str


def requirements() -> dict[str, Requirement]:
    """Requirements by the package's name; none where archsearch is not installed (it is on PYTHONPATH alone)."""
    try:
        lines = metadata.requires("archsearch") or []
    except metadata.PackageNotFoundError:
        return {}
    matches = [match for line in lines if (match := _LINE.match(line)) and match["extra"] != "dev"]
    return {
        match["name"].lower(): Requirement(
            ",".join(sorted(match["bounds"].split(","), reverse=True)), match["extra"] or ""
        )
        for match in matches
    }


def missing_package(error: ModuleNotFoundError) -> InputError | None:
    """What to say of an import that failed for want of a package that archsearch requires; None of any other module."""
    module = (error.name or "").partition(".")[0]
    return _lacking(module) if _package(module) in requirements() else None


def refuse_without(*modules: str) -> None:
    """Raises InputError for the first of these modules that is not installed. Imports none of them."""
    for module in modules:
        if find_spec(module) is None:
            raise _lacking(module)


def _lacking(module: str) -> InputError:
    package = _package(module)
    requirement = requirements().get(package)
    extra = f"[{requirement.extra}]" if requirement and requirement.extra else ""
    line = f'pip install "archsearch{extra}"' if extra else "pip install archsearch"
    return refuse(f"{package} is not installed; `{line}` brings it")


def _package(module: str) -> str:
    return _DISTRIBUTIONS.get(module, module.replace("_", "-"))
