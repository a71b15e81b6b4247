"""`archsearch export`: a network as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli import arguments
from archsearch.cli.dispatch import app_of, command
from archsearch.cli.options import Json, OutputFile
from archsearch.cli.printing import deliver, print_json
from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture

app = app_of("export")


@command(app)
def export(
    source: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT|ARCH", show_default=False, help="An experiment: its best; or a network."),
    ],
    *,
    form: Annotated[str, typer.Option("--format", help="config: a YAML file that every ARCH may name.")] = "config",
    output: OutputFile = None,
    as_json: Json = False,
) -> None:
    """Writes a network, or the best of an experiment, to a file."""
    if form != "config":
        raise refuse(f"the format {form!r:.40}", allowed="config, in this version", file="--format")
    network = _network(source)
    if as_json:
        if output is not None:
            deliver(network.to_yaml(), output)
        written = None if output is None else str(output)
        print_json({"format": form, "file": written, "digest": network.digest, "architecture": network.to_dict()})
    else:
        deliver(network.to_yaml(), output)


def _network(source: str) -> Architecture:
    """An experiment goes before a name of the zoo, a file before both."""
    from archsearch.experiment import find

    if Path(source).is_file():
        return arguments.architecture(source)
    try:
        folder = find(source)
    except InputError as no_experiment:
        try:
            return arguments.architecture(source)
        except InputError as no_network:
            raise InputError(*no_experiment.problems, *no_network.problems) from None
    return arguments.best_of(folder)
