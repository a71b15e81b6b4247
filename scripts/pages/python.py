"""docs/python.md: the reference of the Python API, made from signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import archsearch
from archsearch.api.experiment import Experiment
from archsearch.api.search import search
from archsearch.api.shrinking import Shrunk
from archsearch.api.spaces import Space
from archsearch.api.training import Trained

_INTRODUCTION = """\
# The Python API

Generated from signatures and docstrings by `python -m scripts.pages`.
[A notebook](notebook.ipynb) shows an example.

    import archsearch

    experiment = archsearch.search("digits", trials=8)  # a name, a file, a text or a mapping; data= takes arrays too
    experiment = archsearch.search(data="my-images", time="10m", flops="20M")  # a space that fits a folder of images
    experiment.best.value, experiment.trials            # the validation accuracy; a pandas DataFrame
    module = experiment.module()                        # the trained nn.Module

The commands call these functions and print their results. `import archsearch` is fast: torch, Ray, Optuna, MLflow and
pandas are loaded where they are used. Invalid input raises `archsearch.InputError`, which has what was found, what is
allowed, and a hint. Scripts need no `if __name__ == "__main__":`, and functions may be called from any thread.
"""
_GROUPS: dict[str, list[tuple[str, Any]]] = {
    "Searching": [
        ("archsearch.search", search),
        ("archsearch.open", archsearch.open),
        ("archsearch.init", archsearch.init),
    ],
    "Experiment": [("Experiment", Experiment)],
    "Predicting": [("archsearch.predict", archsearch.predict), ("Predictions", archsearch.Predictions)],
    "Search spaces": [("archsearch.load_space", archsearch.load_space), ("Space", Space)],
    "Training one network": [("archsearch.train", archsearch.train), ("Trained", Trained)],
    "Making a trained network smaller": [("archsearch.shrink", archsearch.shrink), ("Shrunk", Shrunk)],
    "Callbacks": [("archsearch.Observer", archsearch.Observer)],
    "Networks": [
        ("archsearch.zoo.get", archsearch.zoo.get),
        ("archsearch.cost", archsearch.cost),
        ("archsearch.digest", archsearch.digest),
        ("archsearch.build", archsearch.build),
        ("archsearch.convert_weights", archsearch.convert_weights),
    ],
    "Optuna": [("archsearch.optuna_study", archsearch.optuna_study), ("archsearch.suggest", archsearch.suggest)],
}


def page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for title, members in _GROUPS.items():
        parts.append(f"## {title}\n")
        for name, member in members:
            parts += _class(member) if inspect.isclass(member) else [_entry(name, member)]
    return "\n".join(parts)


def _class(kind: type) -> list[str]:
    """The class's docstring, then its own public fields, properties and methods, in the order of the source."""
    parts = [f"{inspect.getdoc(kind)}\n"]
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for name, member in vars(kind).items():
        if name.startswith("_") or name in fields:
            continue
        if isinstance(member, property):
            parts.append(f"### `{kind.__name__}.{name}`\n\n{inspect.getdoc(member)}\n")
        elif inspect.isfunction(member):
            parts.append(_entry(f"{kind.__name__}.{name}", member))
    return parts


def _entry(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    shown = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    arguments, starred = [], False
    for parameter in shown:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            arguments.append("*")
            starred = True
        arguments.append(re.sub(r": '(.*?)'", r": \1", str(parameter)))  # annotations are texts
    result = "" if signature.return_annotation in (signature.empty, "None") else f" -> {signature.return_annotation}"
    call = f"{name}({', '.join(arguments)}){result}"
    if len(call) > 110:
        call = f"{name}(\n    " + ",\n    ".join(arguments) + f",\n){result}"
    return f"### `{name}`\n\n```python\n{call}\n```\n\n{inspect.getdoc(function)}\n"
