"""Writes docs/threshold.html and docs/threshold.svg, the largest stable learning rate over the delay, from
hogwild.theory: python tools/threshold_plot.py

The page needs no script: momentum and rules are chosen by form elements, which style sheets look at.
"""

from __future__ import annotations

from pathlib import Path

from hogwild.report import page
from hogwild.report.chart import COLOURS, DIM, Drawing, Line, lines
from hogwild.theory import RULES
from hogwild.theory.stability import threshold

DOCS = Path(__file__).resolve().parents[1] / "docs"
DELAYS = (*range(17), 20, 24, 28, 32, 40, 48, 64)
MOMENTA = (0.5, 0.8, 0.9, 0.95, 0.99)
USUAL = 0.9
CAPTION = "Largest stable curvature x lr / (1 - m)"
X_LABEL = "delay in updates"
WIDTH, LEFT = 720, 58
CHOICE = """<style>
.choice { margin: .8rem 0; } .choice label { margin-right: 1.2rem; white-space: nowrap }
.choice input:focus-visible { outline: 2px solid var(--c0) }
.curves > * { display: none }
%s
</style>"""


def curves(momentum: float) -> dict[str, list[tuple[float, float]]]:
    """Rule -> (delay, largest stable curvature x lr / (1 - m)) for all delays. A gradient moves the model by
    lr / (1 - m) in all, so the rules can be compared; none has no momentum.
    """
    found = {}
    for rule in RULES:
        m = 0.0 if rule == "none" else momentum
        found[rule] = [(float(delay), threshold(rule, delay, m) / (1 - m)) for delay in DELAYS]
    return found


def drawing(found: dict[str, list[tuple[float, float]]]) -> Drawing:
    return lines([Line(rule, points, look) for look, (rule, points) in enumerate(found.items())], X_LABEL, log=True)


def html() -> str:
    """The page: a figure and a table for each momentum, of which the chosen one is shown."""
    rules, figures = [], []
    for index, momentum in enumerate(MOMENTA):
        found = curves(momentum)
        rows = [[delay, *(f"{found[rule][place][1]:.4g}" for rule in RULES)] for place, delay in enumerate(DELAYS)]
        table = page.table(f"{CAPTION}, m = {momentum:g}", ["delay", *RULES], rows)
        finding = f"At delay 16: {', '.join(f'{rule} {found[rule][16][1]:.3g}' for rule in RULES)}."
        key = {rule: look for look, rule in enumerate(RULES)}
        figure = page.figure(f"{CAPTION}, m = {momentum:g}", finding, drawing(found), key=key, numbers=table)
        figures.append(f'<div class="curves m{index}">{figure}</div>')
        rules.append(f"body:has(#m{index}:checked) .m{index} > * {{ display: block }}")
    rules += [f"body:has(#r{n}:not(:checked)) svg .s{n} {{ display: none }}" for n in range(len(RULES))]
    momenta = "".join(
        f'<label><input type="radio" name="m" id="m{n}"{" checked" * (m == USUAL)}> {m:g}</label>'
        for n, m in enumerate(MOMENTA)
    )
    boxes = "".join(f'<label><input type="checkbox" id="r{n}" checked> {rule}</label>' for n, rule in enumerate(RULES))
    words = "A learning rate of torch.optim.SGD is lr: multiply what you read by 1 - m, and divide by the curvature."
    choices = [
        page.paragraph(words),
        CHOICE % "\n".join(rules),
        f'<fieldset class="choice"><legend>momentum</legend>{momenta}</fieldset>',
        f'<fieldset class="choice"><legend>rule</legend>{boxes}</fieldset>',
    ]
    return page.page("The largest stable learning rate under delay", [*choices, *figures])


def svg() -> str:
    """The figure of the usual momentum, to stand in a text: the colours of a light page, on white."""
    drawn, entries = drawing(curves(USUAL)), []
    for look, rule in enumerate(RULES):
        x = LEFT + 130 * look
        entries.append(f'<path d="M{x} 12h24" stroke="{COLOURS[look]}" stroke-width="3"/>')
        entries.append(f'<text x="{x + 30}" y="16" fill="{DIM}">{rule}</text>')
    height = drawn.height + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" font-family="sans-serif" '
        f'font-size="12"><title>{CAPTION} over the delay, m = {USUAL:g}</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(entries)}'
        f'<svg x="{LEFT}" y="30" width="{WIDTH - LEFT - 20}" height="{drawn.height:.0f}" overflow="visible">'
        f"{drawn.inside}</svg></svg>\n"
    )


if __name__ == "__main__":
    (DOCS / "threshold.html").write_text(html())
    (DOCS / "threshold.svg").write_text(svg())
