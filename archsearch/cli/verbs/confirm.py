"""`archsearch confirm`: is the search's winner better, by how much, and than what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archsearch.api.showing.printing import print_json, short, table, tell
from archsearch.cli.dispatch import DONE, INTERRUPTED, Failure
from archsearch.cli.options import AllowSource, Compiled, Experiment, Json, Root, TrackingUri
from archsearch.experiment import ExperimentFolder, find
from archsearch.experiment.confirmed import FEWEST_SEEDS, export_of_pretrained
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.suggested import command_of


def confirm(
    experiment: Experiment,
    *,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Number of trials to retrain, the best on validation.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of new seeds per network.")] = 3,
    folds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Number of folds of a cross-validation: each network is trained on each fold of the training and "
            "validation images, with each seed, and the winner is chosen by its mean. 1: none. Default: that of "
            "data.validation, else none.",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A network for comparison: a name from the zoo, torchvision:NAME, timm:NAME, or a YAML file; "
            "repeatable. Default: up to three of the zoo that fit the budget; none: no baseline.",
        ),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|LIST",
            help="Pretrained networks to fine-tune for comparison, those within the budget: a folder of trained "
            "networks or bundles, or a list with commas between: such folders, files of weights, experiments, "
            "torchvision:ResNet18_Weights.IMAGENET1K_V1, timm:resnet18.a1_in1k.",
        ),
    ] = None,
    no_random: Annotated[
        bool,
        typer.Option(
            "--no-random", help="Skip the random search at equal cost, which takes as long as the search did."
        ),
    ] = False,
    compiled: Compiled = False,
    root: Root = None,
    allow_source: AllowSource = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> int:
    """Retrains a search's best networks over new seeds, against random search at equal cost and known networks.

    The winner is chosen by the mean of the search's metric on validation; only then is the test split evaluated, for
    the winner and the networks that it is compared with; of pretrained networks, for the best on validation. Ctrl-C
    saves and exits (code 3); the same command continues.
    """
    from archsearch.api.confirming import confirm as confirmed
    from archsearch.cli.driving import audience_of_a_command
    from archsearch.search.confirming.confirm import NothingTrained
    from archsearch.search.confirming.retraining import WorkerDied
    from archsearch.sources.own import allow as allow_sources

    allow_sources(allow_source or ())
    folder = find(experiment)
    try:
        with audience_of_a_command() as audience:
            document = confirmed(
                folder,
                audience,
                top=top,
                seeds=seeds,
                folds=folds,
                baselines=[] if baseline == ["none"] else baseline or None,
                pretrained=pretrained,
                random=not no_random,
                compiled=compiled,
                root=root,
                tracking_uri=tracking_uri,
            )
    except (NothingTrained, WorkerDied) as error:
        raise Failure(str(error)) from error
    except KeyboardInterrupt:
        from archsearch.tracking import without_password

        parts = ["--top", str(top), "--seeds", str(seeds)]
        parts += ["--folds", str(folds)] if folds is not None else []
        for name in baseline or ():
            parts += ["--baseline", name]
        parts += ["--pretrained", pretrained] if pretrained is not None else []
        parts += ["--no-random"] if no_random else []
        parts += ["--compile"] if compiled else []
        parts += ["--root", str(root)] if root is not None else []
        parts += ["--tracking-uri", without_password(tracking_uri)] if tracking_uri else []
        again = command_of(folder, "confirm", *parts)
        tell(f"archsearch: interrupted; what is trained is kept; go on with:\n  {again}")
        return INTERRUPTED
    if as_json:
        print_json(document)
    else:
        _show(document, folder)
    return DONE


# ---- what came of it


def _show(document: dict[str, Any], folder: ExperimentFolder) -> None:
    compared = document["pretrained"]
    if compared is not None:
        print(compared["sentence"])
    print(f"{document['experiment']}: {document['winner']} is confirmed as the search's best\n")
    folds = document["folds"]
    repeated = "folds" if folds else "seeds"
    objective = Objective.of(document)
    splits = [split if objective.name == ACCURACY else f"{split} {objective.label}" for split in ("validation", "test")]
    head = ("rank", "network", "params", "FLOPs", *splits, repeated, "")
    print(table(head, [_row(row, objective) for row in document["rows"]], flush_left=(1, 7)))
    print(f"\n{document['chosen']}")
    if document["differences"]:
        unit = "points" if objective.percent else objective.label
        by_fold = " (on validation fold by fold)" if folds else ""
        above = "" if objective.sense == "max" else f" (above 0: a lower {objective.label})"
        print(f"\nlead in {unit}, seed by seed{by_fold}{above}")
        columns = ("of", "over", "validation", "test", repeated, "adjusted p", "significant")
        print(table(columns, [_difference(lead, objective) for lead in document["differences"]], flush_left=(0, 1)))
        print("\np: Student's t on the test split, adjusted for all comparisons (Holm); significant below 0.05.")
    share = f"{100 * document['confidence']:g} %"
    if folds and folds >= FEWEST_SEEDS:
        print(
            f"+- on validation is half of a {share} interval over the folds, corrected for the training images that "
            "they share (Nadeau & Bengio 2003)."
        )
    if len(document["seeds"]) >= FEWEST_SEEDS:
        half = f"+- on test is half of a {share}" if folds else f"+- is half of a {share}"
        print(f"{half} interval over the seeds (Student's t): of other seeds, not of other images.")
    print("test: of the winner, and of what is compared; the others' stays unseen.")
    if random := document["random"]:
        search = document["search"]
        print("random search: its first is compared with the search's first, which was chosen by the same rule.")
        print(
            f"equal cost: random search had {random['epochs']} epochs in {random['trials']} trials, "
            f"the search {search['epochs']} in {search['trials']}. A search's luck is not in the intervals."
        )
    for network in compared["beyond"] if compared is not None else ():
        print(f"not fine-tuned: {network['name']}: {network['reason']}")
    for note in document["notes"]:
        print(f"note: {note}")
    path = Path(document["folder"])
    print(f"\nwritten to {path}: confirm.json, best.yaml, weights.safetensors (seed {document['weights_of_seed']})")
    print(f"and {folder.best_yaml}; the search's own best is kept in {folder.best_of_search.name}")
    exported = [export_of_pretrained(folder, compared), command_of(folder, "export", "-o", "bundle")]
    print("next:")
    for line in filter(None, exported):
        print(f"  {line}")


def _row(row: dict[str, Any], objective: Objective) -> tuple[str, ...]:
    validation = row["validation"]
    return (
        str(row["rank"]),
        f"{row['name']} (winner)" if row["winner"] else row["name"],
        short(row["params"]),
        short(row["flops"]),
        _points(validation, objective, unit=objective.unit),
        _points(row["test"], objective, unit=objective.unit),
        str(validation["n"] if validation else 0),
        row["note"],
    )


def _difference(difference: dict[str, Any], objective: Objective) -> tuple[str, ...]:
    interval, p = difference["validation"] or difference["test"], difference["p"]
    cells = [_points(difference[split], objective, sign="+") for split in ("validation", "test")]
    significant = "yes" if difference["told_apart"] else "no"
    names = difference["of"], difference["over"]
    return (*names, *cells, str(interval["n"] if interval else 0), "-" if p is None else f"{p:.2g}", significant)


def _points(interval: dict[str, Any] | None, objective: Objective, *, sign: str = "", unit: str = "") -> str:
    """A mean (in percentage points, of a share) and half of its interval, or each seed's where there is no interval; a
    dash where nothing was measured."""
    if interval is None:
        return "-"
    if interval["half"] is None:
        return ", ".join(objective.number(value, sign) for value in interval["values"]) + unit
    return f"{objective.number(interval['mean'], sign)} +- {objective.number(interval['half'])}{unit}"
