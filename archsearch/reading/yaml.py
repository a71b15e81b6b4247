"""Strict YAML: the core schema of YAML 1.2, without aliases, tags, repeated keys or deep nesting.

PyYAML scans and parses; values are built here from its flat stream of events, so no input can exhaust the
stack, and every value keeps the line and column that an error message needs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from archsearch.reading.document import Document, Loc, Position, shorten
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.files import open_regular
from archsearch.reading.nearest import did_you_mean

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 10_000

_TOO_DEEP = f"nesting deeper than {MAX_DEPTH} levels"
_QUOTE = "quote it if it is meant as a text"

_INTEGER = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = MappingProxyType(
    dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)


def read(source: str | Path) -> Document:
    """Reads a file (Path) or a text (str). Raises InputError with file, line and column."""
    if isinstance(source, Path):
        return _parse(_text_of(source), str(source))
    return _parse(source, "<text>")


def write(data: Any) -> str:
    """The inverse of `read`: every string is quoted that `read` would take for another value."""
    # default_flow_style None: a mapping or list of plain values goes in one line.
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """SafeDumper that knows this reader's words: PyYAML writes the string 1e-3 bare, as YAML 1.1 may."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    ambiguous = value in _WORDS or any(p.fullmatch(value) for p in (_INTEGER, _PREFIXED, _FLOAT, _NOT_FINITE))
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if ambiguous else None)


_Dumper.add_representer(str, _represent_text)


def _files_beside(path: Path) -> list[str]:
    """The names of YAML files in the folder of a path; none where it cannot be listed."""
    try:
        return [file.name for file in path.parent.iterdir() if file.suffix in (".yaml", ".yml")]
    except (OSError, ValueError):
        return []


def _text_of(path: Path) -> str:
    def refusal(message: str, hint: str = "") -> InputError:
        return refuse(message, allowed="a YAML file in UTF-8", hint=hint, file=str(path))

    try:
        if path.is_dir():
            raise refusal("it is a folder")
        if not path.exists():
            raise refusal("no such file", did_you_mean(path.name, _files_beside(path)) or "check the path")
        if not path.is_file():
            raise refusal("it is not a regular file")
        with open_regular(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, InputError):
            raise
        raise refusal(f"it cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise refusal(f"it is larger than {MAX_BYTES // 1024} KiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise InputError(
            Problem(
                message=f"byte 0x{raw[error.start]:02x} is not UTF-8",
                allowed="text in UTF-8",
                file=str(path),
                line=line,
                column=column,
            )
        ) from None


@dataclass(kw_only=True)
class _Open:
    """A mapping or list whose end has not been seen yet."""

    loc: Loc
    into: dict[str, Any] | list[Any]
    key: str | None = None


def _parse(text: str, file: str) -> Document:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024} KiB"
        raise refuse(f"it is larger than {limit}", allowed=f"at most {limit}", file=file)
    builder = _Builder(file)
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_problem(error, file)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise InputError(
            Problem(
                message=f"the character #x{ord(text[error.position]):04x}",
                allowed="printable characters",
                file=file,
                line=line,
                column=column,
            )
        ) from None
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError, IndexError) as error:
        raise refuse(f"not readable as YAML: {error}", allowed="YAML", file=file) from None
    return Document(data=builder.data, file=file, values=builder.values, keys=builder.keys)


class _Loader(yaml.SafeLoader):
    """SafeLoader that stops at the first bracket too many: its look-ahead takes time quadratic in the depth."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


def _events(text: str) -> Iterator[yaml.Event]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()  # type: ignore[no-untyped-call]
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    complaint = error.problem or error.context or "it cannot be parsed"
    hint = ""
    if "\\t" in complaint or "\t" in complaint:
        hint = "indent with spaces; YAML takes no tabs"
    elif "mapping values are not allowed" in complaint:
        hint = 'unexpected ": ": check the indentation, or quote the text'
    elif "block end" in complaint:
        hint = "check the indentation of this line and of the lines above"
    elif "',' or" in complaint:
        hint = "a comma or a closing bracket is missing"
    return Problem(
        message=complaint if complaint == _TOO_DEEP else f"not readable as YAML: {complaint}",
        allowed=f"at most {MAX_DEPTH} levels" if complaint == _TOO_DEEP else "YAML",
        hint=hint,
        file=file,
        line=mark.line + 1 if mark else 0,
        column=mark.column + 1 if mark else 0,
    )


class _Builder:
    """Turns the stream of events into values and positions, with an explicit stack and within the limits."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.data: Any = None
        self.values: dict[Loc, Position] = {}
        self.keys: dict[Loc, Position] = {}
        self._open: list[_Open] = []
        self._nodes = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse(event, "a second document (---)", "one document in a file")
            case yaml.AliasEvent():
                raise self._refuse(
                    event, f"the alias *{event.anchor}", "plain values; no aliases", "write the value out"
                )
            case yaml.ScalarEvent():
                self._check_node(event)
                self._add(event, self._scalar(event))
            case yaml.MappingStartEvent():
                self._enter(event, {})
            case yaml.SequenceStartEvent():
                self._enter(event, [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()

    def _enter(self, event: yaml.Event, into: dict[str, Any] | list[Any]) -> None:
        self._check_node(event)
        loc = self._add(event, into)
        self._open.append(_Open(loc=loc, into=into))
        if len(self._open) > MAX_DEPTH:
            raise self._refuse(event, _TOO_DEEP, f"at most {MAX_DEPTH} levels")

    def _check_node(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refuse(event, f"more than {MAX_NODES:,} values", f"at most {MAX_NODES:,} values")
        if event.anchor is not None:
            raise self._refuse(event, f"the anchor &{event.anchor}", "plain values; no anchors", "write the value out")
        if event.tag is not None:
            raise self._refuse(event, f"the tag {shorten(event.tag)}", "no tags", "remove the tag")

    def _add(self, event: Any, value: Any) -> Loc:
        position = self._position(event)
        if not self._open:
            self.data = value
            self.values[()] = position
            return ()
        top = self._open[-1]
        if isinstance(top.into, list):
            loc: Loc = (*top.loc, len(top.into))
            top.into.append(value)
        elif top.key is None:
            self._key(event, top, value)
            return top.loc
        else:
            loc = (*top.loc, top.key)
            top.into[top.key] = value
            top.key = None
        self.values[loc] = position
        return loc

    def _key(self, event: yaml.Event, top: _Open, key: Any) -> None:
        if not isinstance(key, str):
            raise self._refuse(event, f"the key {shorten(key)}, which is not a name", "names as keys", _QUOTE)
        loc = (*top.loc, key)
        if key in top.into:
            first = self.keys[loc].line
            hint = f"the first one is in line {first}"
            raise self._refuse(event, f"the key {shorten(key)} a second time", "each key once", hint)
        top.key = key
        self.keys[loc] = self._position(event)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _NOT_FINITE.fullmatch(text):
            raise self._refuse(event, f"the number {text}", "finite numbers", _QUOTE)
        if _PREFIXED.fullmatch(text) or _INTEGER.fullmatch(text):
            return self._integer(event, text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                raise self._refuse(event, f"the number {text:.40}, which is not finite", "finite numbers")
            return number
        return text

    def _integer(self, event: yaml.Event, text: str) -> int:
        number = None
        if len(text) <= 64:
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            number = int(text[2:] if base != 10 else text, base)
        if number is None or abs(number) >= 2**63:
            raise self._refuse(event, f"the number {shorten(text)}", "integers below 2^63")
        return number

    def _position(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        assert mark is not None
        return Position(file=self.file, line=mark.line + 1, column=mark.column + 1)

    def _refuse(self, event: yaml.Event, message: str, allowed: str, hint: str = "") -> InputError:
        return InputError(Problem(message=message, allowed=allowed, hint=hint, **vars(self._position(event))))
