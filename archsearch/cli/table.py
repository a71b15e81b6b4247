"""The verbs: the one table behind `archsearch --help`, the dispatch and each verb's example. Standard library."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb of the command line; it is the function of its name in archsearch.cli.verbs.NAME."""

    name: str
    group: str
    summary: str
    example: str


SEARCH, NETWORKS, HELP = "Search", "Networks", "Other"

VERBS = (
    Verb("init", SEARCH, "write a search space for a folder of images",
         "archsearch init my-images --time 30m"),
    Verb("check", SEARCH, "check a search space: is it valid, how large, what fits the budget, how "
"long will it take",
         "archsearch check search_spaces/digits.yaml"),
    Verb("sample", SEARCH, "draw random architectures of a search space within its budget",
         "archsearch sample search_spaces/digits.yaml -n 3 --seed 1 --json"),
    Verb("run", SEARCH, "search a space for the best network",
         "archsearch run search_spaces/digits.yaml --trials 8"),
    Verb("resume", SEARCH, "continue an interrupted search",
         "archsearch resume digits"),
    Verb("status", SEARCH, "list all experiments, or show the progress of one",
         "archsearch status digits --json"),
    Verb("confirm", SEARCH, "retrain a search's best networks over new seeds, against random "
"search and known networks",
         "archsearch confirm digits --top 5 --seeds 3"),
    Verb("report", SEARCH, "write the results of a search as one HTML file",
         "archsearch report digits -o report.html"),
    Verb("compare", SEARCH, "compare two searches, or test whether two search spaces differ",
         "archsearch compare digits digits-2 -o compare.html"),
    Verb("ui", SEARCH, "open the trials in MLflow's web interface",
         "archsearch ui digits"),
    Verb("sync", SEARCH, "send MLflow what it missed while its server was down",
         "archsearch sync digits"),
    Verb("zoo", NETWORKS, "list networks of the literature with their costs and published errors",
         "archsearch zoo"),
    Verb("profile", NETWORKS, "count parameters, FLOPs and activations of a network, by stage or "
"layer",
         "archsearch profile resnet50 --input 3x224x224"),
    Verb("train", NETWORKS, "train one network",
         "archsearch train resnet20_cifar --data digits --epochs 5"),
    Verb("export", NETWORKS, "export a network, or an experiment's best, for other projects: "
"PyTorch, ONNX, a bundle",
         "archsearch export digits -o bundle"),
    Verb("predict", NETWORKS, "classify new images with an exported network, or an experiment's best",
         "archsearch predict bundle new-images --csv -o labels.csv"),
    Verb("analyze", NETWORKS, "show what the parts of a trained network do: blocks deleted, paths and their gradient",
         "archsearch analyze lesion digits"),
    Verb("shrink", NETWORKS, "make smaller networks of a trained one, within limits",
         "archsearch shrink resnet20_cifar --weights resnet20.safetensors --data cifar10 --flops 30M"),
    Verb("doctor", HELP, "check that this machine is ready",
         "archsearch doctor"),
    Verb("schema", HELP, "write the JSON Schema of search-space files, for editors",
         "archsearch schema -o search-space.schema.json"),
)  # fmt: skip

# What the hint proposes for words that are no verbs.
SYNONYMS = {
    "search": "archsearch run",
    "continue": "archsearch resume",
    "list": "archsearch status",
    "prune": "archsearch shrink",
}


def find(name: str) -> Verb | None:
    """The verb of that name."""
    return next((verb for verb in VERBS if verb.name == name), None)


def overview(*, colour: bool) -> str:
    """What `archsearch --help` prints."""
    bold, regular = ("\033[1m", "\033[0m") if colour else ("", "")
    width = max(len(verb.name) for verb in VERBS)
    lines = [
        f"{bold}archsearch{regular}: neural architecture search for image classifiers of the "
        "residual family, within a budget.",
        "",
        f"{bold}Usage:{regular} archsearch COMMAND [ARGUMENTS] [OPTIONS]",
    ]
    for group in (SEARCH, NETWORKS, HELP):
        lines += ["", f"{bold}{group}{regular}"]
        lines += [f"  {bold}{v.name:<{width}}{regular}  {v.summary}" for v in VERBS if v.group == group]
    lines += [
        "",
        f"{bold}Start here{regular}",
        "  archsearch run search_spaces/digits.yaml --trials 8    takes minutes on a laptop, downloads nothing",
        "  archsearch COMMAND --help                              options of a command, with an example",
        "",
        "Every command takes --debug (tracebacks). --version prints the version.",
        "Exit codes: 0 success, 1 failure, 2 invalid input, 3 interrupted and saved, 4 in use by another process;\n"
        "130 interrupted before anything had begun.",
    ]
    return "\n".join(lines)
