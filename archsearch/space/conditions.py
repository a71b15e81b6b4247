"""How parameters depend on one another: `when`, the order of asking, and what a space must set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from archsearch.reading.document import Document
from archsearch.reading.errors import Problem
from archsearch.reading.validation import unknown_field
from archsearch.space.linear_widths import GROUP, NAMES
from archsearch.space.parameters import Parameter, Term, allowed_for, check_value, network_terms, vocabulary
from archsearch.space.stage_domains import PerStage, StageChoices


def connect(document: Document, parameters: dict[str, Parameter]) -> tuple[dict[str, Parameter], list[Problem]]:
    """The parameters with their conditions resolved, in an order in which each can be asked; and what is wrong.

    A parameter comes after those that its `when` names; otherwise the vocabulary's order holds, whatever the file's,
    so that the same seed draws the same networks from the file as written and as resolved.
    """
    parameters, problems = _derived(document, parameters)
    arranged, more_problems = arrange(document, parameters, network_terms())
    problems += more_problems
    return arranged, problems or _missing(document, arranged) + _lengths(document, arranged)


def arrange(
    document: Document, parameters: dict[str, Parameter], terms: Mapping[str, Term]
) -> tuple[dict[str, Parameter], list[Problem]]:
    """`connect` for parameters of any vocabulary, without what a network needs; conditions may name all of `terms`."""
    problems: list[Problem] = []
    resolved = {name: _resolve(document, parameter, terms, problems) for name, parameter in parameters.items()}
    if problems:
        return resolved, problems
    ordered: dict[str, Parameter] = {}
    for name in terms:
        if cycle := _visit(name, resolved, ordered, ()):
            at = (*resolved[cycle[0]].term.loc, "when")
            text = f"these keys depend on one another in a circle: {' -> '.join(cycle)}"
            return resolved, [document.problem(at, text, allowed="at least one of them without when")]
    return ordered, []


def most_stages(stages: Parameter) -> int:
    """The largest number of stages that the parameter `stages` can give."""
    return max(value for value in stages.probes() if isinstance(value, int))


def _resolve(document: Document, parameter: Parameter, terms: Mapping[str, Term], problems: list[Problem]) -> Parameter:
    conditions = []
    domain = parameter.domain
    for name, values in (domain.when if domain else {}).items():
        loc = (*parameter.term.loc, "when", name)
        # Within a group a bare name means the group's own parameter first.
        names = [full for full in (f"{parameter.term.group}.{name}", name) if full in terms]
        if not names:
            options = [term.name if term.of_network else term.field for term in terms.values()]
            problems.append(unknown_field(document, loc, options))
            continue
        written = document.at(loc)
        for index, value in enumerate(values):
            at = (*loc, index) if isinstance(written, list) else loc
            if problem := check_value(document, terms[names[0]], value, at):
                problems.append(problem)
        conditions.append((names[0], values))
    return replace(parameter, conditions=tuple(conditions))


def _visit(
    name: str, parameters: dict[str, Parameter], ordered: dict[str, Parameter], path: tuple[str, ...]
) -> tuple[str, ...]:
    """Depth first; adds a parameter after those it depends on. Returns a circle where it meets one."""
    if name in path:
        return (*path[path.index(name) :], name)
    if name in parameters and name not in ordered:
        for needed in parameters[name].needs:
            if cycle := _visit(needed, parameters, ordered, (*path, name)):
                return cycle
        ordered[name] = parameters[name]
    return ()


def _derived(document: Document, parameters: dict[str, Parameter]) -> tuple[dict[str, Parameter], list[Problem]]:
    """The parameters, with those that linear widths give among them; what is set beside these is a problem."""
    first_width = {n: replace(p, derived_from=("width",)) for n, p in parameters.items() if p.is_first_width}
    parameters = parameters | first_width
    if not any(name in parameters for name in NAMES):
        return parameters, []
    problems = [
        document.problem(
            parameters[name].term.loc,
            f"{name} is set beside {GROUP}, which give it",
            allowed="one of the two",
            key=True,
        )
        for name in ("depth", "width")
        if name in parameters
    ]
    terms = vocabulary()
    width_from = (*NAMES, "stages", "block", "bottleneck_ratio", "group_width")
    added = {
        "depth": Parameter(term=terms["depth"], value=None, derived_from=(*NAMES, "stages")),
        "width": Parameter(term=terms["width"], value=None, derived_from=width_from),
    }
    if "stages" in parameters:
        added["stages"] = replace(parameters["stages"], derived_from=NAMES)
    return parameters | added, problems


def _missing(document: Document, parameters: dict[str, Parameter]) -> list[Problem]:
    link = parameters.get("link")
    all_dense = link is not None and not link.conditions and set(link.probes()) == {"dense"}
    linear = any(name in parameters for name in NAMES)
    all_dense = all_dense and not any(parameter.is_first_width for parameter in parameters.values())
    needed = ["stages", *(NAMES if linear else ["depth", *([] if all_dense else ["width"])])]
    return [
        document.problem(
            ("space", GROUP) if name in NAMES else ("space",),
            f"the key {name} is missing in space",
            allowed=f"{name}: {allowed_for(vocabulary()[name])}, or a domain of such values",
            key=True,
        )
        for name in needed
        if name not in parameters
    ]


def _lengths(document: Document, parameters: dict[str, Parameter]) -> list[Problem]:
    if "stages" not in parameters:
        return []
    stages = most_stages(parameters["stages"])
    problems = []
    for parameter in parameters.values():
        match parameter.value:
            case PerStage(values=given):
                key, what = "values", "values"
            case StageChoices(choices=given):
                key, what = "choices", "lists"
            case _:
                continue
        if len(given) != stages:
            text = f"{parameter.name} has {len(given)} {what}"
            allowed = f"{stages} {what}, one for each possible stage"
            problems.append(document.problem((*parameter.term.loc, key), text, allowed=allowed))
    return problems
