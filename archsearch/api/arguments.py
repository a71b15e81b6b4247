"""Errors of the Python API name its arguments, where those of the command line name options."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import ParamSpec, TypeVar

from archsearch.reading.errors import InputError, Problem

P = ParamSpec("P")
R = TypeVar("R")

_SET = re.compile(r"--set (\w+)\.(\w+)=([\w.]+)")
_VALUE = re.compile(r"--([a-z][a-z-]*) (?=[A-Z])")
_OPTION = re.compile(r"--([a-z][a-z-]*)")
NAMES = {
    "allow-sampler": "allow_samplers",
    "allow-source": "allow_sources",
    "baseline": "baselines",
    "EXPERIMENT": "experiment",
}


def names_its_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function's InputErrors speak of `folder` and `data={"root": DIR}` instead of `--folder` and
    `--set data.root=DIR`. `names` are arguments that are not called like the option: `output="folder"`. What stands in
    backquotes is a command, and stays."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except InputError as error:
                raise InputError(*(_renamed(problem, {**NAMES, **names}) for problem in error.problems)) from error

        return call

    return decorate


def _renamed(problem: Problem, names: dict[str, str]) -> Problem:
    def argument(match: re.Match[str]) -> str:
        return names.get(match[1], match[1].replace("-", "_"))

    def text(given: str) -> str:
        parts = given.split("`")
        for index in range(0, len(parts), 2):
            part = _SET.sub(r'\1={"\2": \3}', parts[index])
            parts[index] = _OPTION.sub(argument, _VALUE.sub(lambda match: f"{argument(match)}=", part))
        return "`".join(parts)

    file = names.get(problem.file, problem.file)
    return replace(
        problem,
        file=text(file) if file.startswith("--") else file,
        allowed=text(problem.allowed),
        hint=text(problem.hint),
    )
