"""A bundle opened to be used: its files compared with its manifest, and none of its code executed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from archsearch.experiment.layout import MODEL, WEIGHTS
from archsearch.guests.either import Described, params, read
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.files import open_regular, read_json

MANIFEST, PREPROCESSING = "manifest.json", "preprocessing.json"
KIND = "archsearch bundle"
COPY_AGAIN = "copy or export the bundle again"


class Bundle:
    """The folder that `archsearch export` wrote. Each file is compared with the manifest's SHA-256 when it is read."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError for a folder without a manifest of a bundle."""
        self.folder = folder
        try:
            self._files: dict[str, Any] = read_json(folder / MANIFEST)["files"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise refuse(
                f"no manifest of a bundle ({error!s:.100})", hint=COPY_AGAIN, file=str(folder / MANIFEST)
            ) from error

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises InputError where it is missing, a link, or not what was exported."""
        file = self.folder / name
        try:
            digest = self._files[name]["sha256"]
        except (KeyError, TypeError) as error:
            raise refuse("not listed in the bundle's manifest", hint=COPY_AGAIN, file=str(file)) from error
        try:
            with open_regular(file, follow=False) as opened:
                content = opened.read()
        except OSError as error:
            raise refuse(f"it cannot be read: {error.strerror}", hint=COPY_AGAIN, file=str(file)) from error
        if hashlib.sha256(content).hexdigest() != digest:
            problem = "its SHA-256 is not that of the manifest: it is damaged, or was changed"
            raise refuse(problem, hint=COPY_AGAIN, file=str(file))
        return content

    def preprocessing(self) -> Any:
        """The JSON value of preprocessing.json. Raises as `read`, and InputError for what is none."""
        try:
            return json.loads(self.read(PREPROCESSING))
        except (ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise refuse("no JSON", hint=COPY_AGAIN, file=str(self.folder / PREPROCESSING)) from error

    def architecture(self, weights: bytes) -> Described:
        """The network of these weights. Raises as `read`, and InputError for a network that is larger than they are."""
        self.read(MODEL)
        architecture = read(self.folder / MODEL)
        if params(architecture) > len(weights):
            raise refuse("a network of more parameters than its weights have bytes", file=str(self.folder / WEIGHTS))
        return architecture


def is_bundle(folder: Path) -> bool:
    """Whether a folder has a manifest that says that it is a bundle."""
    try:
        return bool(read_json(folder / MANIFEST).get("kind") == KIND)
    except (OSError, ValueError, AttributeError):
        return False
