"""What to do next: commands, a narrower space to search; and what it takes to reproduce the search."""

from __future__ import annotations

from archsearch.analysis.report.charts import number
from archsearch.analysis.report.figures import Document
from archsearch.analysis.report.html import copied, download, paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.wrong import fault
from archsearch.analysis.svg import clean
from archsearch.experiment.records import spell
from archsearch.experiment.suggested import command, permissions

PURPOSE = {
    "resume": "Go on with the search:",
    "confirm": "Retrain the best with new seeds, to see whether the winner is better or was lucky:",
    "profile": "Parameters, FLOPs and memory of each layer:",
    "export": "The network as plain PyTorch, with its weights:",
    "ui": "Every trial in MLflow, in the browser:",
}


def next_steps(reading: Reading, report: Document) -> str:
    """The section with the commands that come next, and the narrower space to search."""
    commands = [paragraph(PURPOSE[text.split()[1]], "note") + copied(text) for text in report["next"]]
    weak = fault(report["mistakes"])
    advice = f"{weak} Look at its images and labels first, and add more of them." if weak else ""
    parts = [paragraph(advice), *commands, _in_mlflow(report), *_narrower(reading, report)]
    return section("next", "What to do next", *parts)


def _in_mlflow(report: Document) -> str:
    """A link to MLflow's page of the search, where it has one."""
    if not report["mlflow"]:
        return ""
    link = f'<a href="{clean(report["mlflow"])}">MLflow\'s page of this search</a>'
    local = report["mlflow"].startswith("http://127.0.0.1")
    return f'<p class="note">{link}{", while that command runs" if local else ""}.</p>'


def _narrower(reading: Reading, report: Document) -> list[str]:
    """The narrower space, to be copied or saved, and the command that searches it."""
    narrower = report["narrower"]
    if not report["rows"]:
        return []
    if narrower["yaml"] is None:
        reason = narrower["why_not"]
        return [paragraph(f"No narrower space is proposed: {reason}.")]
    size = narrower["size"]
    text = "Each choice is limited to the range in which the best networks lie; everything else stays as it was. "
    if narrower["checked"]:
        text += "The file was read and checked; "
        if size and size[0] is not None and size[1] is not None:
            text += f"it allows {number(int(size[1]))} combinations in place of {number(int(size[0]))}. "
    else:
        text += "It could not be checked here, since the search's own space cannot be read on this machine; "
    folder = reading.folder
    check = command("check", "narrower.yaml", *permissions(folder, "check"))
    text += f"`{check}` says how many of them fit the budget. "
    text += "What the search did not try may be better, and lie outside."
    changes = [(row["word"], row["from"], row["to"]) for row in narrower["changes"]]
    save = download("narrower.yaml", "application/yaml", narrower["yaml"], "Download narrower.yaml")
    run = command("run", "narrower.yaml", "--warm-start", folder.argument, *permissions(folder, "run"))
    return [
        "<h3>A narrower space to search</h3>",
        paragraph(text),
        table(("choice", "before", "now"), changes, left=(0, 1, 2)),
        f'<p class="save">{save}</p>',
        f'<div id="narrower" class="screen">{copied(narrower["yaml"])}</div>',
        f"{paragraph('Then, with what this experiment has learnt:', 'note')}{copied(run)}",
    ]


def reproduce(reading: Reading, report: Document) -> str:
    """The section with versions, seeds, digests, the machine and the winner's training."""
    rows = [(row["what"], row["value"]) for row in report["facts"]]
    winner = report["winner"]
    if winner is not None:
        rows.append(("winner's digest", str(winner["digest"])))
        seed = next((row["seed"] for row in report["rows"] if row["trial"] == winner["trial"]), None)
        rows += [("winner's seed", str(seed))] if seed is not None else []
        rows += [("winner's training", spell(winner["training"], digits=4))] if winner["training"] else []
    folder = reading.folder
    named = ("--name", f"{report['experiment']}-2")
    if folder.argument != folder.name:  # of an --output of its own, whose name may be none of --name
        named = ("--output", f"{folder.argument}-2")
    again = command("run", folder.space_yaml, *named, *permissions(folder, "run"))
    text = "space.yaml in the experiment's folder holds every setting. With these versions and one worker the same "
    text += "trials are made and trained; several workers finish in another order each time."
    return section("facts", "Reproduce", paragraph(text), copied(again), table(("", ""), rows, left=(0, 1), wide=(1,)))
