"""The base of everything that a person may write in a file: strict, frozen pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

WRITTEN = {"written": True}  # pydantic's context where a model is read from a document


class StrictModel(BaseModel):
    """Base of every group of words: frozen, strict, and no word that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """The words that differ from their defaults, as plain JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)
