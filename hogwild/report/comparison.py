"""The page of many runs: algorithms beside each other, every seed visible, diverged runs counted and named."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hogwild.report import page, seeds
from hogwild.report.chart import Line, lines
from hogwild.report.curves import spans_decades
from hogwild.report.record import AXES, Point, Record, differing
from hogwild.report.scale import number

MANY = 6  # runs that are shown beside each other; more are compared
PREFERRED = ("validation_accuracy", "test_accuracy", "validation_loss", "test_loss", "train_loss")
PANELS = ("workers", "clock")  # options that make figures of their own
CURVE_POINTS = 200  # of the median of several seeds


@dataclass(frozen=True)
class Group:
    """The runs that differ by their seed alone. `look`: the same for one algorithm in all figures."""

    name: str
    panel: str
    look: int
    runs: Sequence[Record]

    def by_seed(self, metric: str) -> dict[tuple[int, int], float]:
        """(seed, how many runs before have it) -> the last value; NaN for a run that diverged."""
        found: dict[tuple[int, int], float] = {}
        times: dict[int, int] = {}
        for run in self.runs:
            seed = _seed(run)
            times[seed] = times.get(seed, -1) + 1
            found[seed, times[seed]] = math.nan if run.has_diverged else run.last(metric)
        return found


def write(runs: Sequence[Record]) -> str:
    """The page of these runs, as HTML. The figures are of the metric that most runs have, accuracy before loss."""
    metric = _metric(runs)
    found = groups(runs)
    return page.page(f"{len(runs)} runs compared", parts(runs, found, metric))


def parts(runs: Sequence[Record], found: Sequence[Group], metric: str) -> Iterator[str]:
    yield page.paragraph(_headline(found, metric), "advice")
    yield _varied(runs)
    yield page.heading(f"Final {_words(metric)}")
    if (panels := list(dict.fromkeys(group.panel for group in found))) and len(panels) > 1:
        yield _finals(found, panels, metric)
    for panel in panels:
        inside = [group for group in found if group.panel == panel]
        yield _table(inside, panel, metric)
    for panel in panels:
        inside = [group for group in found if group.panel == panel]
        yield page.heading(f"{_words(metric).capitalize()} along the way: {panel}")
        for x in AXES:
            yield _curves(inside, panel, metric, x)


def groups(runs: Sequence[Record]) -> list[Group]:
    """The runs that differ by their seed alone, in the order in which they are given. Their name is the algorithm,
    with the options that differ between runs of this algorithm in the same panel: not those that follow from it.
    """
    sets: dict[tuple[str, str], list[Record]] = {}
    for run in runs:
        sets.setdefault((_panel(run), _algorithm(run)), []).append(run)
    by: dict[tuple[str, str], list[Record]] = {}
    for (panel, algorithm), members in sets.items():
        varied = [name for name in differing(members) if name not in ("seed", *PANELS)]
        for run in members:
            name = ", ".join([algorithm, *(f"{option} {run.values.get(option)}" for option in varied)])
            by.setdefault((panel, name), []).append(run)
    names = list(dict.fromkeys(name for _, name in by))
    ordered = sorted(by.items(), key=lambda item: _natural(item[0][0]))
    return [Group(name, panel, names.index(name), members) for (panel, name), members in ordered]


# ---- parts ----------------------------------------------------------------------------------------------------------


def _headline(found: Sequence[Group], metric: str) -> str:
    sign = better(metric)
    means = {}
    for group in found:
        values = [value for value in group.by_seed(metric).values() if math.isfinite(value)]
        if values and len(values) == len(group.runs):
            means[group.name, group.panel] = statistics.fmean(values)
    failed = sum(run.has_diverged for group in found for run in group.runs)
    said = f"{failed} of {sum(len(group.runs) for group in found)} runs diverged. " if failed else ""
    if not means:
        return said + "No group of runs has a finite value for every seed: nothing can be compared."
    (name, panel), best = max(means.items(), key=lambda item: sign * item[1])
    return f"{said}The best mean {_words(metric)} is {number(best)}, of {name} at {panel}."


def _varied(runs: Sequence[Record]) -> str:
    """What differs at all, and its values; not a column for each of a hundred runs."""
    rows = [[name, ", ".join(dict.fromkeys(map(str, values)))] for name, values in differing(runs).items()]
    return page.table("What differs between the runs", ["option", "values"], rows)


def _table(inside: Sequence[Group], panel: str, metric: str) -> str:
    reference, sign = inside[0], better(metric)
    base = reference.by_seed(metric)
    rows = []
    for group in inside:
        own = group.by_seed(metric)
        values = [value for value in own.values() if math.isfinite(value)]
        shown = "none is finite"
        if values:
            mean, half = seeds.interval(values)
            shown = number(mean) if math.isnan(half) else f"{number(mean)} ± {half:.2g}"
        pairs = [sign * (own[seed] - base[seed]) for seed in own if seed in base]
        against = "" if group is reference else seeds.verdict([pair for pair in pairs if math.isfinite(pair)])
        every = ", ".join("diverged" if math.isnan(value) else number(value) for value in own.values())
        rows.append([group.name, shown, every, len(own) - len(values), against])
    head = ["algorithm", "mean, 95 % interval", "seeds", "not finite", f"against {reference.name}, seed by seed"]
    return page.table(f"Final {_words(metric)}, {panel}", head, rows)


def _finals(found: Sequence[Group], panels: Sequence[str], metric: str) -> str:
    """The final value against the number of the panel: one line an algorithm, and a dot for every seed."""
    drawn = []
    for name in dict.fromkeys(group.name for group in found):
        mine = {panels.index(group.panel): group for group in found if group.name == name}
        medians: list[Point] = []
        for place, group in sorted(mine.items()):
            values = list(group.by_seed(metric).values())
            finite = [value for value in values if math.isfinite(value)]
            medians.append((float(place), statistics.median(finite) if finite else math.nan))
            drawn += [Line(f"{name}, {group.panel}", [(float(place), v)], group.look, faint=True) for v in values]
        drawn.append(Line(name, medians, next(iter(mine.values())).look))
    caption = f"Final {_words(metric)}, all panels"
    finding = "Lines join the medians; pale dots are single seeds; what diverged is left out."
    parts = [panel.partition(", ") for panel in panels]
    clocks = {clock for *_, clock in parts}
    names = panels if len(clocks) > 1 else [name for name, *_ in parts]  # what all have in common is said once
    chart = lines(drawn, "".join(clocks) if len(clocks) == 1 else "", ticks=dict(enumerate(names)))
    return page.figure(caption, finding, chart, key=_key(found))


def _curves(inside: Sequence[Group], panel: str, metric: str, x: str) -> str:
    caption = f"{_words(metric).capitalize()} over {AXES[x]}, {panel}"
    drawn: list[Line] = []
    for group in inside:
        curves = [run.curve(metric, x) for run in group.runs]
        curves = [curve for curve in curves if curve]
        if len(curves) > 1:
            drawn += [Line(f"{group.name}, a seed", curve, group.look, faint=True) for curve in curves]
        if curves:
            drawn.append(Line(group.name, median(curves), group.look))
    if all(len(line.points) < 2 for line in drawn):
        return page.words(caption, "At most one value of a run was recorded: --eval-every records more.")
    finding = "Medians of the seeds, which are the pale lines."
    return page.figure(caption, finding, lines(drawn, AXES[x], log=spans_decades(drawn)), key=_key(inside))


# ---- numbers --------------------------------------------------------------------------------------------------------


def median(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The median of several curves, each read between its points as a straight line. Where all have the same places,
    these are its places; else a grid of 200 in what all of them cover. NaN where one of them has no number.
    """
    places = [[x for x, _ in curve] for curve in curves]
    if all(one == places[0] for one in places):
        grid = places[0]
    else:
        low, high = max(one[0] for one in places), min(one[-1] for one in places)
        grid = [low + (high - low) * step / CURVE_POINTS for step in range(CURVE_POINTS + 1)] if high > low else [high]
    return [(x, statistics.median(_at(curve, x) for curve in curves) if _all(curves, x) else math.nan) for x in grid]


def _all(curves: Sequence[Sequence[Point]], x: float) -> bool:
    return all(math.isfinite(_at(curve, x)) for curve in curves)


def _at(curve: Sequence[Point], x: float) -> float:
    place = bisect.bisect_left(curve, x, key=lambda point: point[0])
    if place in (0, len(curve)):
        return curve[min(place, len(curve) - 1)][1]
    (before, low), (after, high) = curve[place - 1], curve[place]
    return low + (high - low) * (x - before) / (after - before)


def better(metric: str) -> int:
    """1 if larger is better, -1 if smaller is."""
    return -1 if metric.endswith(("loss", "error", "ppl", "perplexity", "rmse")) else 1


def _metric(runs: Sequence[Record]) -> str:
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.measured():
            counts[name] = counts.get(name, 0) + 1
    names = [name for name in PREFERRED if name in counts] or list(counts) or ["train_loss"]
    return max(names, key=lambda name: counts.get(name, 0))


def _algorithm(run: Record) -> str:
    return str(run.values.get("algorithm"))


def _panel(run: Record) -> str:
    clock = run.values.get("clock")
    return f"N = {run.workers}" + (f", {clock}" if clock else "")


def _natural(panel: str) -> tuple[int, str]:
    digits = "".join(letter for letter in panel.split(",")[0] if letter.isdigit())
    return int(digits or 0), panel


def _seed(run: Record) -> int:
    seed = run.values.get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _key(found: Sequence[Group]) -> Mapping[str, int]:
    return {group.name: group.look for group in found}


def _words(metric: str) -> str:
    return metric.replace("_", " ")
