"""A guest: a network that another library makes, as a value. It is a baseline, never a candidate of a search."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from archsearch.reading.model import StrictModel

LIBRARIES = ("torchvision", "timm")
Size = Annotated[int, Field(ge=1, le=8192)]


class Guest(StrictModel):
    """A network of another library, for images of this shape (channels, height, width) and so many classes. It has what
    readers need of an `Architecture`: `name`, `input`, `classes`, `to_dict`, `to_yaml`, `model_copy`."""

    guest: str = Field(
        pattern=rf"^({'|'.join(LIBRARIES)}):\w+$", description="The library and its name of the network."
    )
    input: tuple[Size, Size, Size] = Field(description="Channels, height and width of the input image.")
    classes: int = Field(ge=1, le=100_000, description="Number of classes.")

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        """YAML and JSON have lists only; strict models want tuples."""
        if isinstance(data, dict) and isinstance(data.get("input"), list):
            return {**data, "input": tuple(data["input"])}
        return data

    @property
    def name(self) -> str:
        """What users call it: torchvision:vgg16_bn."""
        return self.guest

    @property
    def library(self) -> str:
        """One of LIBRARIES."""
        return self.guest.partition(":")[0]

    @property
    def model(self) -> str:
        """What the library calls it."""
        return self.guest.partition(":")[2]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that stand for the library's name, the image and the classes."""
        text = json.dumps([self.guest, list(self.input), self.classes], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises InputError for anything that is no guest."""
        from archsearch.reading.validation import validate

        return validate(cls, data)

    def to_yaml(self) -> str:
        """The text of a file that `either.read` reads back to an equal guest."""
        from archsearch.reading.yaml import write

        return write(self.to_dict())


def is_guest_name(text: str) -> bool:
    """Whether a text names a guest, though perhaps one that there is not: it begins with a library and a colon."""
    return text.partition(":")[0] in LIBRARIES and ":" in text
