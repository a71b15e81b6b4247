"""Networks as they are named: by the zoo, by a file, or themselves."""

from __future__ import annotations

from pathlib import Path

from archsearch import zoo
from archsearch.architecture.spec import Architecture
from archsearch.experiment.folder import refuse_links_around


def architecture_of(source: str | Path | Architecture) -> Architecture:
    """The network of that name in the zoo, or of that YAML file; an Architecture is returned as it is. Raises
    InputError."""
    if isinstance(source, Architecture):
        return source
    path = Path(source)
    refuse_links_around(path)
    if isinstance(source, Path) or path.is_file() or path.suffix in (".yaml", ".yml") or "/" in source:
        read = Architecture.from_yaml(path)
        return read if read.name else read.model_copy(update={"name": path.stem})
    return zoo.get(source)
