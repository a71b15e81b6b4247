"""docs/search-space.md: the reference of every key of a search-space file, made from the models."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from archsearch.reading.allowed import describe, fields_of, of_field, step_into
from archsearch.reading.document import shorten
from archsearch.reading.model import StrictModel
from archsearch.space.budget import Bound, Budget
from archsearch.space.domains import Choice, Domain, Integers, Reals
from archsearch.space.loading import SpaceFile
from archsearch.space.parameters import Term, allowed_for, groups, vocabulary
from archsearch.space.search_settings import EarlyStopping, SearchSettings
from archsearch.space.settings import DataSettings, ResourceSettings, TrainingSettings
from archsearch.space.stage_domains import PerStage, SameAs, StageChoices
from archsearch.space.start_settings import StartSettings
from archsearch.space.trainings import SEARCHABLE

_INTRODUCTION = """\
# Search-space files: every key

Generated from the code by `python -m scripts.pages`.

A file is YAML 1.2 without aliases, tags and repeated keys. Only `true` and `false` are booleans. Counts can be
written as 600k, 40M or 1.2G. Any value can be set from the command line: `--set search.trials=8`,
`--set 'space.depth={int: [1, 3]}'`.
"""

_SPACE = """\
Every key has either a plain value, which is fixed (`block: basic`), or a domain, which is searched (`block: {choice:
[basic, bottleneck]}`). Keys of stages and blocks apply to the whole network, or with `each: stage` to every stage
separately. `stages` and `depth` are required, and so is `width` unless `link` is fixed to dense. The default stride
is 1 in the first stage and 2 in the others. With `linear_widths`, a network has the depths and widths that these
give, and `stages` are the numbers of stages that the space allows.
"""

_DOMAINS = (
    (Choice, "{choice: [basic, bottleneck]}"),
    (Integers, "{int: [1, 18], each: stage}"),
    (Reals, "{float: [0.5, 1.0], step: 0.1}"),
    (PerStage, "{each: stage, values: [16, 32, 64]}"),
    (StageChoices, "{each: stage, choices: [[8, 16], [16, 24, 32], [64]]}"),
    (SameAs, "{same_as: stage1.width}"),
)

_WHEN = """\
A parameter of stages or blocks varies in the stages where its `when` holds; without `each: stage`, these stages share
one value. A parameter of the whole network varies if its `when` holds in some stage. Keys of another group are written
with a dot, such as `survival.schedule`; within a group the name alone is enough.
"""

_VARIED = f"""\
A search can vary {", ".join(f"`{name}`" for name in SEARCHABLE)}: with the domains above (except
`each`), together with parameters of `space` or instead of them. `when` refers to other training settings:

    training:
      epochs: 20
      optimizer: {{choice: [sgd, adamw]}}
      learning_rate: {{float: [0.001, 0.5], log: true}}
      nesterov: {{choice: [true, false], when: {{optimizer: sgd}}}}
      label_smoothing: {{float: [0, 0.2], step: 0.05}}
      mixup: {{choice: [0, 0.2, 1.0]}}

A trial is then a network with its training settings. The sampler chooses both, `confirm` retrains both, and two
trainings of one network are two trials. All other settings have one value for the whole search. `recipe` does not set
a setting that varies; where its `when` does not hold, it has its default. `memory` in the budget is predicted for the
settings that need most. Combinations that are not valid are refused when the file is read.
"""


_SIZES = """\
`size` may be a domain: then it is a parameter of the networks, `data.size`, and searched with those of `space`.

    data: {name: folder, root: my-images, size: {choice: [48, 64, [64, 96]]}}
    space:
      stem: {pool: {choice: [none, max], when: {data.size: [64, 64x96]}}}

Costs, the budget and latency are those at each network's own size. In `when`, and among the choices of a trial, a
rectangle is written HEIGHTxWIDTH. Image files alone can have several sizes, at most 16.
"""


_START = """\
    start: {weights: [runs/resnet20], may: [drop_blocks, slice_width]}

Each network of such a search is a part of the trained one: it begins with the weights of the blocks and channels that
matter most, and is first scored without any training. With `space` too, networks of it that are such parts begin with
the weights, and all others with initial values. See how-to/start-from-weights.md.
"""


def page() -> str:
    """The reference, for docs/search-space.md."""
    parts = [_INTRODUCTION, "## The file\n", _table(fields_of(step_into(SpaceFile, ())))]
    parts += ["## space: the architectures\n", _SPACE]
    top = [term for term in vocabulary().values() if not term.group]
    parts += [_terms(top)]
    for group, model in groups().items():
        parts += [f"### {group}\n", f"{_first_line(model)}\n"]
        parts += [_terms([term for term in vocabulary().values() if term.group == group])]
    parts += ["## Domains\n"]
    for kind, example in _DOMAINS:
        parts += [f"### `{example}`\n", f"{_first_line(kind)}\n", _table(_own_words(kind))]
    parts += ["### each, when, order\n", _WHEN, _table(list(Domain.model_fields.items()))]
    parts += ["## budget\n", f"{_first_line(Budget)}\n", _table(fields_of(step_into(Budget, ())))]
    parts += ["Each of these has the keys\n", _table(fields_of(step_into(Bound, ())))]
    for name, model in (
        ("start", StartSettings),
        ("data", DataSettings),
        ("search", SearchSettings),
        ("search.early_stopping", EarlyStopping),
        ("training", TrainingSettings),
        ("resources", ResourceSettings),
    ):
        parts += [f"## {name}\n", f"{_first_line(model)}\n", _table(fields_of(step_into(model, ())))]
        parts += {TrainingSettings: [_VARIED], DataSettings: [_SIZES], StartSettings: [_START]}.get(model, [])
    return "\n".join(parts)


def _own_words(kind: type[Domain]) -> list[tuple[str, FieldInfo]]:
    return [(name, info) for name, info in fields_of(step_into(kind, ())) if name not in Domain.model_fields]


def _terms(terms: Iterable[Term]) -> str:
    rows = []
    for term in terms:
        value = None if term.required else term.default()
        default = "required" if term.required else "" if value is None else shorten(value)
        if term.name == "stride":
            default = "1, then 2"
        rows.append((term.field if term.group else term.name, allowed_for(term), default, term.info.description))
    return _rows(rows)


def _table(fields: Iterable[tuple[str, FieldInfo]]) -> str:
    rows = []
    for name, info in fields:
        if info.is_required():
            default = "required"
        elif info.default is PydanticUndefined or isinstance(info.default, StrictModel):
            default = ""
        else:
            default = "" if info.default is None else shorten(info.default)
        rows.append((name, describe(of_field(info)), default, info.description))
    return _rows(rows)


def _rows(rows: Iterable[tuple[str, str, str, str | None]]) -> str:
    lines = ["| key | allowed | default | meaning |", "|---|---|---|---|"]
    for name, allowed, default, what in rows:
        cells = (f"`{name}`", allowed, default.strip("'"), what or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _first_line(model: type[StrictModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]
