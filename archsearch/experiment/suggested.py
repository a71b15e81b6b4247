"""Commands that messages suggest, as a shell takes them: quoted, and with the permissions that they need again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Protocol

from archsearch.reading.errors import InputError

ALLOWED_SOURCES = set[str]()  # module:Class and module:function that --allow-source has named in this process
ALLOWED_SAMPLERS = set[str]()  # module:Class that --allow-sampler has named
IMPORTING_IMAGES = ("check", "run", "resume", "confirm", "report", "train", "export", "predict", "analyze")
IMPORTING_METRICS = ("check", "run", "resume", "confirm")
IMPORTING_SAMPLERS = ("run", "resume")


class Folder(Protocol):
    """An experiment's folder."""

    @property
    def argument(self) -> str:
        """What is put for EXPERIMENT on the command line."""

    @property
    def space_yaml(self) -> Path:
        """The file of its search space."""


def command(verb: str, *arguments: object) -> str:
    """`archsearch VERB ARGUMENTS`."""
    return shlex.join(["archsearch", verb, *map(str, arguments)])


def command_of(folder: Folder, verb: str, *options: object) -> str:
    """`archsearch VERB EXPERIMENT OPTIONS` of the experiment in a folder, with its `permissions`."""
    return command(verb, folder.argument, *options, *permissions(folder, verb))


def permissions(folder: Folder, verb: str) -> list[str]:
    """--allow-source and --allow-sampler of the modules that an experiment's space.yaml names and the verb imports.

    Only of those that a person has allowed in this process: no text of a file becomes a permission."""
    if not ALLOWED_SOURCES and not ALLOWED_SAMPLERS:
        return []
    from archsearch.reading.yaml import read

    try:
        document = read(folder.space_yaml).data
        data, search = document.get("data") or {}, document.get("search") or {}
        sources = [data.get("name")] if verb in IMPORTING_IMAGES else []
        sources += [*(data.get("metrics") or {}).values()] if verb in IMPORTING_METRICS else []
        sampler = search.get("sampler") if verb in IMPORTING_SAMPLERS else None
        samplers = [sampler.get("optuna")] if isinstance(sampler, dict) else []
    except (InputError, AttributeError):
        return []
    named = [("--allow-source", name) for name in sources if name in ALLOWED_SOURCES]
    named += [("--allow-sampler", name) for name in samplers if name in ALLOWED_SAMPLERS]
    return [part for pair in named for part in pair]
