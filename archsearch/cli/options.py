"""Options that several verbs share: the same word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpaceFile = Annotated[
    Path, typer.Argument(metavar="SPACE", help="A search-space file, or the name of a shipped one: digits.")
]
SpaceOrImages = Annotated[
    Path,
    typer.Argument(
        metavar="SPACE",
        help="A search-space file, the name of a shipped one (digits), or a folder or a table of images.",
    ),
]
Experiment = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name or folder of an experiment.")]
OptionalExperiment = Annotated[
    str | None, typer.Argument(metavar="[EXPERIMENT]", help="Name or folder of an experiment.")
]
Network = Annotated[
    str,
    typer.Argument(
        metavar="ARCH",
        help="A network: a name from `archsearch zoo`, torchvision:NAME, timm:NAME, or a YAML file.",
    ),
]
WEIGHTS = (
    "a file (.safetensors from `train`, .pth from torchvision or timm), a folder of `train`, a bundle, an experiment, "
    "torchvision:ResNet18_Weights.IMAGENET1K_V1 or timm:resnet18.a1_in1k"
)
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of the search-space file, such as training.epochs=3; repeatable.",
    ),
]
AllowSampler = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:CLASS",
        help="Allow a sampler class that the file names to be imported, which runs its module's code; repeatable.",
    ),
]
AllowSource = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="Allow a class of images (data.name) or a metric (data.metrics) that the file names to be imported, which "
        "runs its module's code; repeatable.",
    ),
]
Time = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time limit of the search: 10m, 8h. Sets search.wall_time.")
]
Flops = Annotated[str | None, typer.Option(metavar="N", help="Most FLOPs of a network: 20M. Sets budget.flops.max.")]
Params = Annotated[
    str | None, typer.Option(metavar="N", help="Most parameters of a network: 60k. Sets budget.params.max.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, and nothing else.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON document per architecture and line to stdout.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="RAY", help="Address of a running Ray cluster: auto or HOST:PORT. Default: start a local Ray."
    ),
]
RuntimeEnv = Annotated[
    bool,
    typer.Option("--runtime-env", help="With --address: send this installation of archsearch to the cluster's nodes."),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(metavar="URI", help="MLflow tracking URI. Default: MLFLOW_TRACKING_URI, or mlruns/mlflow.db."),
]
Root = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the data, if it was moved. Default: as in the experiment."),
]
OutputFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: stdout.")
]
Compiled = Annotated[
    bool, typer.Option("--compile", help="Use torch.compile: about a minute of compilation, then faster epochs.")
]
