"""The verbs: the one table behind `archsearch --help`, the dispatch and each verb's example. Standard library."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb of the command line; it is the function of its name in archsearch.cli.verbs.NAME."""

    name: str
    group: str
    summary: str
    example: str


SEARCH, NETWORKS, HELP = "Search", "Networks", "Around it"

VERBS = (
    Verb("init", SEARCH, "a search space that fits a folder of images",
         "archsearch init my-images --time 30m"),
    Verb("check", SEARCH, "is a search space valid, how large, what share fits, what will it cost",
         "archsearch check search_spaces/digits.yaml"),
    Verb("sample", SEARCH, "architectures of a search space within its budget",
         "archsearch sample search_spaces/digits.yaml -n 3 --seed 1 --json"),
    Verb("run", SEARCH, "search a space for the best network",
         "archsearch run search_spaces/digits.yaml --trials 8"),
    Verb("resume", SEARCH, "go on with a search that was interrupted",
         "archsearch resume digits"),
    Verb("status", SEARCH, "all experiments, or how one stands",
         "archsearch status digits --json"),
    Verb("confirm", SEARCH, "retrain a search's best over new seeds, beside random search and known networks",
         "archsearch confirm digits --top 5 --seeds 3"),
    Verb("report", SEARCH, "what a search found, as one page that opens anywhere",
         "archsearch report digits -o report.html"),
    Verb("compare", SEARCH, "two searches, or two spaces, side by side; of spaces whether they differ significantly",
         "archsearch compare digits digits-2 -o compare.html"),
    Verb("ui", SEARCH, "curves and tables of the trials in MLflow's pages",
         "archsearch ui digits"),
    Verb("sync", SEARCH, "send MLflow what happened while its server was away",
         "archsearch sync digits"),
    Verb("zoo", NETWORKS, "the literature's networks, their costs and published errors",
         "archsearch zoo"),
    Verb("profile", NETWORKS, "parameters, FLOPs and activations of a network, by stage or layer",
         "archsearch profile resnet50 --input 3x224x224"),
    Verb("train", NETWORKS, "train one network",
         "archsearch train resnet20_cifar --data digits --epochs 5"),
    Verb("export", NETWORKS, "write a network, or an experiment's best, for other projects: PyTorch, ONNX, a bundle",
         "archsearch export digits -o bundle"),
    Verb("doctor", HELP, "is this machine ready",
         "archsearch doctor"),
    Verb("schema", HELP, "the JSON Schema of search-space files, for editors",
         "archsearch schema -o search-space.schema.json"),
)  # fmt: skip

# What the hint proposes for words that are no verbs.
SYNONYMS = {"search": "archsearch run", "continue": "archsearch resume", "list": "archsearch status"}


def find(name: str) -> Verb | None:
    """The verb of that name."""
    return next((verb for verb in VERBS if verb.name == name), None)


def overview(*, colour: bool) -> str:
    """What `archsearch --help` prints."""
    bold, regular = ("\033[1m", "\033[0m") if colour else ("", "")
    width = max(len(verb.name) for verb in VERBS)
    lines = [
        f"{bold}archsearch{regular}: the best network of the residual family for your images, within your budget.",
        "",
        f"{bold}Usage:{regular} archsearch VERB [ARGUMENTS] [OPTIONS]",
    ]
    for group in (SEARCH, NETWORKS, HELP):
        lines += ["", f"{bold}{group}{regular}"]
        lines += [f"  {bold}{v.name:<{width}}{regular}  {v.summary}" for v in VERBS if v.group == group]
    lines += [
        "",
        f"{bold}Start here{regular}",
        "  archsearch run search_spaces/digits.yaml --trials 8    minutes on a laptop, nothing to download",
        "  archsearch VERB --help                                 a verb's options, with an example",
        "",
        "Every verb takes --debug (tracebacks). --version prints the version.",
        "Exit codes: 0 done, 1 a run failed, 2 bad input, 3 interrupted and saved, 4 another driver holds it.",
    ]
    return "\n".join(lines)
