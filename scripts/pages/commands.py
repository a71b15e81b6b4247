"""docs/cli.md: the reference of the command line, made from the verbs."""

from __future__ import annotations

from typer.cli import get_docs_for_click

from archsearch.cli.dispatch import command_of
from archsearch.cli.table import HELP, NETWORKS, SEARCH, VERBS, Verb

_INTRODUCTION = """\
# The command line

Generated from the commands by `python -m scripts.pages`.

`archsearch COMMAND --help` prints the same. Every command takes `--debug` (tracebacks), and every command that prints
data takes `--json`: one JSON document on stdout (`sample`: one per line) and nothing else.

| exit code | |
|---|---|
| 0 | success |
| 1 | failure |
| 2 | invalid input: file:line:column, what was found, what is allowed, a hint |
| 3 | interrupted and saved: `archsearch resume` continues |
| 4 | another process is running the experiment |
| 130 | Ctrl-C before anything had begun (143: SIGTERM) |
"""


def page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for group in (SEARCH, NETWORKS, HELP):
        parts.append(f"## {group}\n")
        parts += [_verb(verb) for verb in VERBS if verb.group == group]
    return "\n".join(parts)


def _verb(verb: Verb) -> str:
    command = command_of(verb)
    context = command.context_class(command, info_name=verb.name)
    text = get_docs_for_click(obj=command, ctx=context, indent=2, name=verb.name, call_prefix="archsearch")
    text = text.rstrip()
    return f"{text[: text.rindex('Example:')].rstrip()}\n\nExample: `{verb.example}`\n"
