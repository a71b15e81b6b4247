"""The page's frame, and the few pieces of HTML that its sections are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from archsearch.analysis.svg import clean

HERE = Path(__file__).parent


def frame(title: str, body: str, trials: Mapping[str, Sequence[str]]) -> str:
    """A whole page that loads nothing from elsewhere. `trials` are the lines shown of each when it is pointed at."""
    # What ends a script element must not stand in one: the data may hold anything.
    data = json.dumps(trials, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    style, script = (HERE / "style.css").read_text(), (HERE / "report.js").read_text()
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="archsearch">
<title>{clean(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
<div id="tip" role="status" aria-live="polite"></div>
<script type="application/json" id="trials">{data}</script>
<script>
{script}</script>
</body>
</html>
"""


def section(name: str, title: str, *parts: str) -> str:
    """A section with an anchor; empty where all of its parts are."""
    content = "\n".join(part for part in parts if part)
    return f'<section id="{name}">\n<h2>{clean(title)}</h2>\n{content}\n</section>' if content else ""


def paragraph(text: str, css: str = "") -> str:
    """A paragraph; `code` between backticks."""
    return f"<p{f' class={json.dumps(css)}' if css else ''}>{marked(text)}</p>" if text else ""


def marked(text: str) -> str:
    """Escaped text with its `code`."""
    parts = clean(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def figure(chart: str, caption: str, key: str = "", table: str = "") -> str:
    """A chart with its legend, its caption, and its figures as a table."""
    if not chart:
        return ""
    text = f"<figcaption>{marked(caption)}</figcaption>" if caption else ""
    return f"<figure>{key}{chart}{text}{table}</figure>"


def legend(*entries: tuple[str, str]) -> str:
    """Marks and what they stand for: a mark is the classes of a dot, or after ~ of a line, after < of a diamond."""
    items = "".join(f"<li>{_swatch(mark)}{clean(text)}</li>" for mark, text in entries if text)
    return f'<ul class="key">{items}</ul>'


def _swatch(mark: str) -> str:
    kind, css = (mark[0], mark[1:]) if mark[0] in "~<" else ("o", mark)
    inner = {
        "o": f'<circle cx="7" cy="7" r="5" class="{css}"/>',
        "~": f'<line x1="0" y1="7" x2="22" y2="7" class="{css}"/>',
        "<": f'<polygon points="7,1 13,7 7,13 1,7" class="{css}"/>',
    }[kind]
    return f'<svg width="{22 if kind == "~" else 14}" height="14" aria-hidden="true">{inner}</svg>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,), wins: Sequence[int] = (),
          wide: Sequence[int] = ()) -> str:  # fmt: skip
    """A table; columns in `left` flush left, in `wide` with long text; rows in `wins` are the winner's."""

    def css(i: int) -> str:
        return ' class="w l"' if i in wide else ' class="l"' if i in left and i else ""

    cells = "".join(f'<th scope="col"{css(i)}>{clean(word)}</th>' for i, word in enumerate(head))
    body = []
    for number, row in enumerate(rows):
        attributes = ' class="win"' if number in wins else ""
        body.append(
            f"<tr{attributes}>" + "".join(f"<td{css(i)}>{marked(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        )
    inner = f"<thead><tr>{cells}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll" tabindex="0"><table>{inner}</table></div>'


def folded(title: str, body: str) -> str:
    """A part of the page that a click unfolds."""
    return f'<details class="screen"><summary>{clean(title)}</summary>{body}</details>' if body else ""


def copied(text: str) -> str:
    """Text with a button that copies it."""
    lines = "\n".join(map(clean, text.splitlines()))
    return f'<div class="copied"><pre tabindex="0">{lines}</pre><button type="button">Copy</button></div>'


def download(name: str, media: str, text: str, title: str) -> str:
    """A link that saves the text as a file of this name; the text lies in the link itself."""
    data = f"data:{media};charset=utf-8,{quote(text, safe=',:;/=[]{}()')}"
    return f'<a class="button" download="{clean(name)}" href="{clean(data)}">{clean(title)}</a>'
