"""Options that several verbs share: the same word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpaceFile = Annotated[Path, typer.Argument(metavar="SPACE", help="A search-space file; a shipped one by name: digits.")]
SpaceOrImages = Annotated[
    Path,
    typer.Argument(metavar="SPACE", help="A search-space file, a shipped one by name, or a folder of images."),
]
Experiment = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment's name, or its folder.")]
OptionalExperiment = Annotated[
    str | None, typer.Argument(metavar="[EXPERIMENT]", help="An experiment's name, or its folder.")
]
Network = Annotated[str, typer.Argument(metavar="ARCH", help="A name that `archsearch zoo` lists, or a YAML file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Sets a word of the file, as training.epochs=3; may be repeated."),
]
AllowSampler = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:CLASS",
        help="A sampler that the file names may be imported, which runs its module's code; may be repeated.",
    ),
]
Time = Annotated[
    str | None, typer.Option(metavar="TIME", help="The search ends within this: 10m, 8h. search.wall_time.")
]
Flops = Annotated[str | None, typer.Option(metavar="N", help="FLOPs of a network, at most: 20M. budget.flops.max.")]
Params = Annotated[
    str | None, typer.Option(metavar="N", help="Parameters of a network, at most: 60k. budget.params.max.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else there.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON on stdout, an architecture a line.")]
Address = Annotated[
    str | None, typer.Option(metavar="RAY", help="A running Ray, auto or HOST:PORT; left out: one of its own.")
]
RuntimeEnv = Annotated[
    bool, typer.Option("--runtime-env", help="With --address: the Ray's nodes get this archsearch, as it lies here.")
]
TrackingUri = Annotated[
    str | None, typer.Option(metavar="URI", help="MLflow's store; left out: MLFLOW_TRACKING_URI, or mlruns/mlflow.db.")
]
Root = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder that holds the data now; left out: where the experiment had it."),
]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Left out: stdout.")]
Compiled = Annotated[
    bool, typer.Option("--compile", help="Through torch.compile: a minute of compiling first, then faster epochs.")
]
