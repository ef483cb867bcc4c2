"""Two figures about elastic averaging: ADMM's missing lower edge, and why DOWNPOUR fails at long periods.

Each figure consists of its claim and three functions: `..._rows` (numbers, one dict per point), `..._verdict` (one
sentence, and whether the claim holds in the rows) and `plot_...` (on one matplotlib axes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hogwild.theory import admm, downpour, elastic

Row = dict[str, Any]

ADMM_CLAIM = (
    "Round-robin ADMM diverges at small learning rates for p = 3 and p = 8, where round-robin EASGD with the same "
    "penalty is stable"
)
ADMM_COLUMNS = ("workers", "rho", "lr", "admm", "easgd")
ADMM_WORKERS = (3, 8)
LARGEST_LR, LARGEST_RHO = 1e-2, 10.0

PERIOD_CLAIM = "DOWNPOUR is stable at periods 1 and 4 and unstable at 16 and 64; EASGD is stable at all of them"
PERIOD_COLUMNS = ("workers", "period", "k", "downpour", "easgd", "downpour_critical_k")
PERIOD_WORKERS = (4, 8, 16)
PAPER_PERIODS = (1, 4, 16, 64)
CYCLE_K = 0.2  # p k: curvature x lr of a whole cycle at period 1
BETA = 0.9


def admm_rows(points: int, workers: Sequence[int] = ADMM_WORKERS) -> list[Row]:
    """Radius per cycle of both algorithms at `points` x `points` values of lr and rho, alpha = lr rho, curvature 1.

    Figure 1 of Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651) has lr up to 1e-2, rho up to 10, and ADMM alone.
    """
    lr, rho = (np.linspace(top / points, top, points) for top in (LARGEST_LR, LARGEST_RHO))
    rows: list[Row] = []
    for p in workers:
        radii = admm.radius(p, lr, rho[:, None])
        for i, j in np.ndindex(radii.shape):
            step, penalty = float(lr[j]), float(rho[i])
            both = float(radii[i, j]), elastic.radius(p, step, step * penalty)
            rows.append(dict(zip(ADMM_COLUMNS, (p, penalty, step, *both), strict=True)))
    return rows


def admm_verdict(rows: Sequence[Row]) -> tuple[str, bool]:
    """The points at which ADMM diverges, and whether EASGD is stable at them."""
    words, holds = [], True
    for workers in sorted({row["workers"] for row in rows}):
        own = [row for row in rows if row["workers"] == workers]
        unstable = [row for row in own if row["admm"] > 1]
        worst = max(own, key=lambda row: row["admm"])
        highest = max((row["lr"] for row in unstable), default=0.0)
        is_elastic_stable = all(row["easgd"] < 1 for row in own)
        holds &= bool(unstable) and is_elastic_stable
        words.append(
            f"p = {workers}: ADMM diverges at {len(unstable)} of {len(own)} points, up to lr {highest:.2g}, radius up "
            f"to {worst['admm']:.6f} at lr {worst['lr']:.2g}, rho {worst['rho']:.2g}; EASGD is "
            f"{'stable at all' if is_elastic_stable else 'unstable at some'}"
        )
    return "; ".join(words), holds


def plot_admm(axes: Any, rows: Sequence[Row]) -> None:
    """ADMM's radius - 1 over lr and rho for p = 3 as colours; the edge of its unstable region as a line for every p."""
    workers = sorted({row["workers"] for row in rows})
    for p in workers:
        own = [row for row in rows if row["workers"] == p]
        lr, rho = (sorted({row[axis] for row in own}) for axis in ("lr", "rho"))
        radii = np.reshape([row["admm"] for row in own], (len(rho), len(lr)))
        if p == workers[0]:
            shades = axes.pcolormesh(lr, rho, radii - 1, shading="nearest", cmap="coolwarm", vmin=-3e-3, vmax=3e-3)
            axes.figure.colorbar(shades, ax=axes, label=f"radius per cycle - 1, p = {p}")
        if radii.min() < 1 < radii.max():
            axes.contour(lr, rho, radii, levels=[1.0], linestyles="solid" if p == workers[0] else "dashed")
    lines = " (dashed: the larger p)" if len(workers) > 1 else ""
    axes.set(xlabel="lr", ylabel="rho", title=f"ADMM diverges left of the line{lines}")


def period_rows(periods: Sequence[int] = PAPER_PERIODS, workers: Sequence[int] = PERIOD_WORKERS) -> list[Row]:
    """Radius per cycle of round-robin DOWNPOUR and EASGD (beta = 0.9) over the period, at k = 0.2 / p.

    That k, and the radii, are ours: every p k from 0.15 to 0.42 gives the same verdict at p = 4, 8 and 16. The claim is
    that of the experiments of Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651).
    """
    rows: list[Row] = []
    for p in workers:
        k = CYCLE_K / p
        for period in periods:
            radii = downpour.radius(p, k, period), elastic.radius(p, k, BETA / p, period)
            rows.append(dict(zip(PERIOD_COLUMNS, (p, period, k, *radii, downpour.critical_k(p, period)), strict=True)))
    return rows


def period_verdict(rows: Sequence[Row]) -> tuple[str, bool]:
    """Which of the paper's periods are stable."""
    words, holds = [], True
    for p in sorted({row["workers"] for row in rows}):
        own = [row for row in rows if row["workers"] == p and row["period"] in PAPER_PERIODS]
        holds &= all((row["downpour"] < 1) == (row["period"] <= 4) and row["easgd"] < 1 for row in own)
        radii = ", ".join(f"{row['downpour']:.3f} / {row['easgd']:.3f} ({row['period']})" for row in own)
        words.append(f"p = {p}, k = {own[0]['k']:g}: {radii}")
    return f"radius per cycle of DOWNPOUR / EASGD (period): {'; '.join(words)}", holds


def plot_period(axes: Any, rows: Sequence[Row]) -> None:
    """Radius per cycle over the period: DOWNPOUR solid, EASGD dashed, a colour per p."""
    for number, p in enumerate(sorted({row["workers"] for row in rows})):
        own = sorted((row for row in rows if row["workers"] == p), key=lambda row: row["period"])
        periods = [row["period"] for row in own]
        for name, style in (("downpour", "-"), ("easgd", "--")):
            label = f"{name.upper()}, p = {p}"
            axes.plot(periods, [row[name] for row in own], style, marker="o", color=f"C{number}", label=label)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set(xlabel="period", ylabel="radius per cycle", xscale="log")
    axes.legend()
