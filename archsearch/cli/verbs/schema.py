"""`archsearch schema`: what editors check and complete search-space files with."""

from __future__ import annotations

import json

from archsearch.api.showing.printing import deliver
from archsearch.cli.options import OutputFile


def schema(*, output: OutputFile = None) -> None:
    """Writes the JSON Schema of search-space files.

    Editors with a YAML language server use it after a first line such as
    # yaml-language-server: $schema=search-space.schema.json
    """
    from archsearch.space.schema import json_schema

    deliver(json.dumps(json_schema(), indent=2, ensure_ascii=False), output)
