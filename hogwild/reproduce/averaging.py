"""Stability of averaging, from Zhang, Choromanska and LeCun 2015: ADMM at small learning rates, and DOWNPOUR's periods.

The paper: figure 1 (ADMM, lr up to 1e-2, rho up to 10, 3 and 8 workers), and the findings of its experiments with
periods 1, 4, 16 and 64.
Here: figure 1 also has EASGD at the same penalty. The experiments are replaced by linear theory at curvature x lr =
0.2 / p (hogwild.theory.figures), and the same radii are measured, with 4 workers, on the real algorithm files in the
simulator, workers in turn on a quadratic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hogwild.reproduce.figure import Figure, Row, Verdict
from hogwild.reproduce.study import Study
from hogwild.theory import figures

PAPER = "Zhang et al. 2015"
POINTS = {"smoke": 6, "tiny": 40, "paper": 100}  # number of values of lr, and of rho
CYCLES = {"smoke": 12, "tiny": 60, "paper": 180}
TRAINED_WORKERS = 4
TRAINED = ("downpour", "easgd")
TRAINED_COLUMNS = tuple(f"trained_{algorithm}" for algorithm in TRAINED)
CLOSE = 0.05


def admm(study: Study) -> list[Row]:
    return figures.admm_rows(POINTS[study.scale])


def admm_verdict(rows: Sequence[Row]) -> Verdict:
    return Verdict(*figures.admm_verdict(rows))


def periods(study: Study) -> list[Row]:
    """The radii of theory, and for TRAINED_WORKERS workers also the radii of simulated training."""
    from hogwild.reproduce.quadratic import radius

    rows = figures.period_rows()
    trained = [row for row in rows if row["workers"] == TRAINED_WORKERS]
    cases = [
        {"algorithm": algorithm, "workers": row["workers"], "period": row["period"], "k": row["k"],
         "cycles": CYCLES[study.scale]}
        for row in trained for algorithm in TRAINED
    ]  # fmt: skip
    found = iter(study.run(radius, cases))
    for row in rows:
        row |= {column: next(found) if row in trained else None for column in TRAINED_COLUMNS}
    return rows


def periods_verdict(rows: Sequence[Row]) -> Verdict:
    """Which periods are stable, and the ratio of the simulated radii to those of theory."""
    told, holds = figures.period_verdict(rows)
    ratios = [
        row[column] / row[algorithm]
        for row in rows
        for algorithm, column in zip(TRAINED, TRAINED_COLUMNS, strict=True)
        if row[column] is not None
    ]
    text = f"{told}; in the simulator {min(ratios):.3f} to {max(ratios):.3f} of those ({len(ratios)} runs)"
    return Verdict(text, holds and all(abs(ratio - 1) < CLOSE for ratio in ratios))


def plot_periods(axes: Any, rows: Sequence[Row]) -> None:
    """The plot of theory, with crosses for the simulated workers."""
    figures.plot_period(axes, rows)
    points = [(row["period"], row[column]) for column in TRAINED_COLUMNS for row in rows if row[column] is not None]
    crosses = f"both in the simulator, p = {TRAINED_WORKERS}"
    axes.plot(*zip(*points, strict=True), "kx", markersize=9, zorder=3, label=crosses)
    axes.legend()


FIGURES = (
    Figure(
        name="admm",
        source=f"{PAPER}, figure 1",
        claim=figures.ADMM_CLAIM,
        columns=figures.ADMM_COLUMNS,
        compute=admm,
        verdict=admm_verdict,
        plot=figures.plot_admm,
    ),
    Figure(
        name="periods",
        source=f"{PAPER}, experiments",
        claim=figures.PERIOD_CLAIM,
        columns=(*figures.PERIOD_COLUMNS, *TRAINED_COLUMNS),
        compute=periods,
        verdict=periods_verdict,
        plot=plot_periods,
    ),
)
