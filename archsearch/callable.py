"""How `archsearch.search` is a package and a function."""

from importlib import import_module
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """The package `archsearch.search`, which Python sets as an attribute of `archsearch` as soon as one of its modules
    is imported: called, it is the function `archsearch.search`."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Calls `archsearch.api.search.search`."""
        return import_module("archsearch.api.search").search(*arguments, **keywords)

    @property
    def __signature__(self) -> Any:
        """The function's signature, for help and editors."""
        from inspect import signature

        return signature(import_module("archsearch.api.search").search)
