"""One self-contained HTML page: figures with their numbers as tables, light and dark, without a script."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence

from hogwild.report.chart import COLOURS, DARK, DARK_DIM, DIM, Drawing, colour, dashes, escape

Row = Sequence[object]
NUMBER = re.compile(r"[-+±.,\d ]*(e[-+]?\d+)?[kMG%]? *s?")
STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --card: #f6f8fa; --ink: #1f2328; --dim: $dim; --rule: #d0d7de;
  $light }
@media (prefers-color-scheme: dark) {
  :root { --back: #0d1117; --card: #161b22; --ink: #e6edf3; --dim: $dark_dim; --rule: #30363d; $dark }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
figure { margin: 1rem 0; padding: .8rem; background: var(--card); border-radius: 6px; break-inside: avoid }
figure > svg { box-sizing: border-box; padding-left: 58px; overflow: visible }
figcaption { font-weight: 600; margin-bottom: .6rem } text { font-size: 12px }
.finding { margin: 0 0 .6rem; color: var(--dim) } .advice { border-left: 4px solid var(--c0); padding: .3rem .8rem }
.dim { fill: var(--dim) } path.dim { fill: none; stroke: var(--dim) } .grid { stroke: var(--rule) }
.mark { fill: var(--ink); stroke: var(--card) } .rule { stroke: var(--ink) }
$classes
.key { list-style: none; margin: .4rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem }
.key svg { width: 28px; height: 10px; margin-right: .4rem }
.wide { overflow-x: auto; margin: 1rem 0 } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--dim); padding-bottom: .3rem }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top }
.n { text-align: right } tbody th { white-space: nowrap } summary { cursor: pointer; color: var(--dim) }
@media (max-width: 480px) { .second { display: none } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole document. `title` is plain text; `parts` are made by the functions below."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_style()}</style></head>\n<body><main>\n<h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "finding") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def figure(
    caption: str,
    finding: str,
    drawing: Drawing,
    *,
    key: Mapping[str, int] | None = None,
    solid: bool = False,
    faint: str = "",
    numbers: str = "",
) -> str:
    """A drawing with its caption, what is to be seen in it, the key of its looks, and a table. A page has no two
    figures with the same caption. `solid`: the key is of areas, without dashes.
    `faint`: the entry of the key that is drawn pale.
    """
    name = re.sub(r"[^a-z0-9]+", "-", caption.lower())
    texts = f'<title id="t-{name}">{escape(caption)}</title><desc id="d-{name}">{escape(finding)}</desc>'
    labels = f'role="img" aria-labelledby="t-{name} d-{name}"'
    svg = f'<svg {labels} width="100%" height="{drawing.height:.0f}">{texts}{drawing.inside}</svg>'
    parts = [f"<figcaption>{escape(caption)}</figcaption>", paragraph(finding), svg]
    if key:
        entries = [_entry(name, look, solid, name == faint) for name, look in key.items()]
        parts.append(f'<ul class="key">{"".join(entries)}</ul>')
    if numbers:
        parts.append(f"<details><summary>Numbers</summary>{numbers}</details>")
    return f"<figure>{''.join(parts)}</figure>"


def words(caption: str, why: str) -> str:
    """In place of a figure that would be empty."""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{paragraph(why)}</figure>"


def table(caption: str, head: Sequence[str], rows: Iterable[Row]) -> str:
    """The first column names the row. A column of numbers, which come as text, stands to the right."""
    lines = [[str(cell) for cell in row] for row in rows]
    kinds = [' class="n"' if all(map(NUMBER.fullmatch, column)) else "" for column in zip(*lines, strict=True)]
    kinds = ["", *kinds[1:]] if lines else [""] * len(head)
    heads = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    body = []
    for first, *others in lines:
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(others, kinds[1:], strict=True))
        body.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    inner = f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody>"
    inner = f"<table><caption>{escape(caption)}</caption>{inner}</table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">{inner}</div>'


def _entry(name: str, look: int, solid: bool, faint: bool) -> str:
    dash = f' stroke-dasharray="{dashes(look)}"' if dashes(look) and not solid else ""
    pale = ' stroke-opacity="0.45"' if faint else ""
    stroke = f'<path d="M0 5h28" stroke-width="{10 if solid else 3}" fill="none" {colour(look)}{dash}{pale}/>'
    return f'<li><svg aria-hidden="true">{stroke}</svg>{escape(name)}</li>'


def _style() -> str:
    looks = range(len(COLOURS))
    return string.Template(STYLE).substitute(
        dim=DIM,
        dark_dim=DARK_DIM,
        light=" ".join(f"--c{look}: {COLOURS[look]};" for look in looks),
        dark=" ".join(f"--c{look}: {DARK[look]};" for look in looks),
        classes="\n".join(f".s{k} {{ stroke: var(--c{k}) }} .f{k} {{ fill: var(--c{k}) }}" for k in looks),
    )
