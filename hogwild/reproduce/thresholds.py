"""Figures 4, 6 and 10 of Giladi et al. 2020: 1 / (largest stable curvature x lr) against a constant delay.

The paper: the characteristic equations (eq. 5, 11, 25) and their numerical solution, for several momenta.
Here: the momenta and delays are our choice, because the captions name none. The thresholds come from
hogwild.theory.stability and, at some delays, also from the real algorithm files in the simulator, workers in turn
(hogwild/reproduce/quadratic.py). The captions do not state the dampening. The claim of figure 4 holds only with
dampening = momentum, as in the authors' code. Figure 10 has no dampening, as in torch; the effective rate k / (1 - m)
is given beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hogwild.reproduce.figure import Figure, Row, Verdict, groups, line
from hogwild.reproduce.study import Study

MOMENTA = (0.0, 0.5, 0.9, 0.95)
COLUMNS = ("momentum", "dampening", "delay", "threshold", "simulated")
LARGEST = {"smoke": 4, "tiny": 32, "paper": 64}
SIMULATED = {"smoke": (1, 4), "tiny": (1, 8, 32), "paper": (1, 2, 4, 8, 16, 32, 64)}
ROUNDS = 400  # pushes of each worker; private momentum forgets slowly: m per round
CLOSE = 0.01  # largest relative distance of simulation from theory


@dataclass(frozen=True)
class Curves:
    """The settings of one of the figures. `dampened`: dampening = momentum."""

    rule: str
    algorithm: str
    momenta: tuple[float, ...]
    dampened: bool = False

    def compute(self, study: Study) -> list[Row]:
        from hogwild.reproduce.quadratic import edge
        from hogwild.theory.stability import threshold

        rows: list[Row] = []
        cases = []
        for m in self.momenta:
            d = m if self.dampened else 0.0
            for delay in range(LARGEST[study.scale] + 1):
                k = threshold(self.rule if m else "none", delay, m, d)
                rows.append({"momentum": m, "dampening": d, "delay": delay, "threshold": k, "simulated": None})
                if delay in SIMULATED[study.scale]:
                    options = {"momentum": m, "dampening": d}
                    updates = ROUNDS * (delay + 1)
                    cases.append({"algorithm": self.algorithm, "options": options, "workers": delay + 1,
                                  "clock": "round-robin", "near": k, "updates": updates})  # fmt: skip
        to_simulate = (row for row in rows if row["delay"] in SIMULATED[study.scale])
        for row, found in zip(to_simulate, study.run(edge, cases), strict=True):
            row["simulated"] = found
        return rows


def deviation(rows: Sequence[Row]) -> tuple[float, str]:
    """(largest relative distance of the simulated edges from theory, in words); infinite if one was not found."""
    pairs = [(row["simulated"], row["threshold"]) for row in rows if row["delay"] in SIMULATED["paper"]]
    distances = [abs(found / k - 1) for found, k in pairs if found is not None]
    worst = max(distances, default=float("inf"))
    return worst, f"{len(distances)} simulated edges within {worst:.2g} of theory"


def slopes(rows: Sequence[Row], *, effective: bool = False) -> dict[float, tuple[float, float]]:
    """momentum -> (slope, R^2) of 1 / k over the delays >= 1; `effective`: of (1 - m) / ((1 - d) k)."""
    found = {}
    for m, curve in groups(rows, "momentum").items():
        unit = [(1 - m) / (1 - row["dampening"]) if effective else 1.0 for row in curve]
        points = [(row["delay"], u / row["threshold"]) for row, u in zip(curve, unit, strict=True) if row["delay"]]
        slope, _, r2 = line(points)
        found[m] = slope, r2
    return found


def verdict_plain(rows: Sequence[Row]) -> Verdict:
    """Figure 6: straight, and close to (2 tau + 1) / pi."""
    slope, r2 = slopes(rows)[0.0]
    off = {row["delay"]: abs((2 * row["delay"] + 1) / math.pi * row["threshold"] - 1) for row in rows}
    worst, words = deviation(rows)
    last = max(off)
    text = (
        f"1/k rises by {slope:.4f} per update of delay (2/pi = {2 / math.pi:.4f}, R^2 {r2:.6f}); the approximation is "
        f"off by {off[1]:.1%} at delay 1 and {off[last]:.2%} at {last}; {words}"
    )
    return Verdict(text, r2 > 0.999 and off[last] < CLOSE and worst < CLOSE)


def verdict_shifted(rows: Sequence[Row]) -> Verdict:
    """Figure 4: at every delay >= 1 the threshold rises with m."""
    by_delay = groups([row for row in rows if row["delay"]], "delay")
    rising = [all(low["threshold"] < high["threshold"] for low, high in pairwise(group)) for group in by_delay.values()]
    worst, words = deviation(rows)
    listing = ", ".join(f"{slope:.3f} (m = {m:g})" for m, (slope, _) in slopes(rows).items())
    text = f"the threshold rises with m at {sum(rising)} of {len(rising)} delays; slopes of 1/k: {listing}; {words}"
    return Verdict(text, all(rising) and worst < CLOSE)


def verdict_standard(rows: Sequence[Row]) -> Verdict:
    """Figure 10: 1/k is linear in the delay for every m, and steeper with more momentum."""
    plain, effective = slopes(rows), slopes(rows, effective=True)
    worst, words = deviation(rows)
    straight = min(r2 for _, r2 in plain.values())
    rises = all(
        all(low[0] < high[0] for low, high in pairwise(found))
        for found in (list(plain.values()), list(effective.values()))
    )
    listing = ", ".join(f"{plain[m][0]:.3f} / {effective[m][0]:.3f} (m = {m:g})" for m in plain)
    text = f"slopes of 1/k, at the given and at the effective rate: {listing}; smallest R^2 {straight:.4f}; {words}"
    return Verdict(text, straight > 0.99 and rises and worst < CLOSE)


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """1 / k over the delay, a line per momentum; dots are simulated runs."""
    for m, curve in groups(rows, "momentum").items():
        inverse = [1 / row["threshold"] for row in curve]
        (drawn,) = axes.plot([row["delay"] for row in curve], inverse, label=f"m = {m:g}")
        dots = [(row["delay"], 1 / row["simulated"]) for row in curve if row["simulated"]]
        axes.plot(*zip(*dots, strict=True), "o", color=drawn.get_color())
    if len(groups(rows, "momentum")) == 1:
        delays = [row["delay"] for row in rows]
        axes.plot(delays, [(2 * delay + 1) / math.pi for delay in delays], "--", label="(2 delay + 1) / pi")
    axes.set(xlabel="delay (dots: simulated)", ylabel="1 / (curvature x largest stable lr)")
    axes.legend()


PAPER = "Giladi et al. 2020, figure"
FIGURES = (
    Figure(
        name="fig4",
        source=f"{PAPER} 4",
        claim="With shifted momentum, more momentum allows a larger stable learning rate at the same delay",
        columns=COLUMNS,
        compute=Curves("shifted", "shifted", MOMENTA, dampened=True).compute,
        verdict=verdict_shifted,
        plot=plot,
    ),
    Figure(
        name="fig6",
        source=f"{PAPER} 6",
        claim="Without momentum the largest stable learning rate is inversely proportional to the delay: 1/k is about "
        "(2 delay + 1) / pi",
        columns=COLUMNS,
        compute=Curves("none", "asgd", (0.0,)).compute,
        verdict=verdict_plain,
        plot=plot,
    ),
    Figure(
        name="fig10",
        source=f"{PAPER} 10",
        claim="With standard momentum 1/k is still linear in the delay, with a higher slope",
        columns=COLUMNS,
        compute=Curves("standard", "asgd", MOMENTA).compute,
        verdict=verdict_standard,
        plot=plot,
    ),
)
