"""The results of theory for the families easgd, admm, downpour and d2, each as a table. See hogwild/theory/."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from hogwild.errors import UsageError
from hogwild.topology import FIXED, mixing

Row = dict[str, Any]
Facts = dict[str, Any]

BETA = 0.9
STEPS = (0.01, 0.1, 0.5, 1.0)  # values of curvature x lr, used if no lr is given
PENALTIES = (0.5, 1.0, 2.5, 5.0, 10.0)
PERIODS = (1, 4, 16, 64)
POINTS = 60


def examine(options: argparse.Namespace) -> Facts:
    """The options and a table, as JSON values. Raises ValueError or UsageError if the options are not allowed."""
    return {"family": options.family, "workers": options.workers, **EXAMINE[options.family](options)}


def report(facts: Facts) -> str:
    """The facts as readable text."""
    hidden = ("family", "note", "table")
    told = [f"{name} {_cell(value)}" for name, value in facts.items() if value is not None and name not in hidden]
    heads = [name.replace("_", " ") for name in facts["table"][0]]
    table = [heads, *([_cell(value) for value in row.values()] for row in facts["table"])]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join([f"{facts['family']}: {', '.join(told)}", *lines, facts["note"]])


def figure(options: argparse.Namespace) -> Callable[[Any], None]:
    """A function that draws the figure of admm or downpour on axes, for the given number of workers."""
    from hogwild.theory import figures

    if options.family == "admm":
        points = figures.admm_rows(POINTS, (options.workers,))
        return lambda axes: figures.plot_admm(axes, points)
    radii = figures.period_rows(tuple(1 << n for n in range(8)), (options.workers,))
    return lambda axes: figures.plot_period(axes, radii)


def _easgd(options: argparse.Namespace) -> Facts:
    from hogwild.theory import elastic

    p, period, momentum, exchange = options.workers, options.period, options.momentum, options.exchange
    table = []
    for k in (options.curvature * options.lr,) if options.lr else STEPS:
        alpha = _alpha(options)
        edge = elastic.critical_alpha(p, k, period, momentum, exchange)
        row = {"curvature_x_lr": k, "critical_alpha": edge, "critical_beta": p * edge}
        if not momentum and (k <= 1 or (exchange == "paper" and period == 1)):
            row["alpha_for_any_workers"] = elastic.safe_alpha(k, period, exchange)
        if not momentum and period == 1:
            row["alpha_if_all_read_at_once"] = elastic.concurrent_alpha(p, k)
        radius = elastic.radius(p, k, alpha, period, momentum, exchange)
        table.append({**row, "radius": radius, "verdict": _verdict(radius < 1)})
    given = {"period": period, "exchange": exchange, "momentum": momentum, "alpha": alpha, "beta": p * alpha}
    return {**given, "table": table, "note": f"radius: per {p} x {period} steps and {p} exchanges, workers in turn"}


def _alpha(options: argparse.Namespace) -> float:
    given = [name for name in ("alpha", "beta", "rho") if getattr(options, name) is not None]
    if len(given) > 1:
        raise UsageError(
            f"--{given[0]} and --{given[1]} both set the moving rate (alpha = beta / P = lr rho): give one"
        )
    if options.alpha is not None:
        return float(options.alpha)
    if options.rho is None:
        return float((BETA if options.beta is None else options.beta) / options.workers)
    if options.lr is None:
        raise UsageError(f"--rho {options.rho:g} sets alpha = lr rho: give --lr X too")
    return float(options.lr * options.rho)


def _admm(options: argparse.Namespace) -> Facts:
    from hogwild.theory import admm, elastic

    p, a, lr = options.workers, options.curvature, options.lr
    table = []
    for rho in (options.rho,) if options.rho else PENALTIES:
        region = admm.region(p, rho / a)
        row: Row = {"rho": rho, "diverges_below_lr": region.edge / a, "worst_lr": region.peak / a}
        row["worst_radius"] = region.radius if region.edge else None
        if lr:
            radius = float(admm.radius(p, a * lr, rho / a))
            row |= {
                "radius": radius,
                "easgd_radius": elastic.radius(p, a * lr, lr * rho),
                "verdict": _verdict(radius < 1),
            }
        table.append(row)
    note = f"ADMM diverges at every lr below the edge; 0: at no lr. radius: per cycle of {p} ticks, workers in turn"
    return {"curvature": a, **({"lr": lr} if lr else {}), "table": table, "note": note}


def _downpour(options: argparse.Namespace) -> Facts:
    from hogwild.theory import downpour, elastic

    p, a, lr = options.workers, options.curvature, options.lr
    table = []
    for period in (options.period,) if options.period else PERIODS:
        edge = downpour.critical_k(p, period)
        row: Row = {"period": period, "critical_curvature_x_lr": edge, "critical_lr": edge / a}
        if lr:
            radius = downpour.radius(p, a * lr, period)
            row |= {"radius": radius, "easgd_radius": elastic.radius(p, a * lr, BETA / p, period)}
            row["verdict"] = _verdict(radius < 1)
        table.append(row)
    note = "1 - (1 - curvature x lr)^period < 2 sin(pi / (4 P - 2)), workers in turn"
    if lr:
        note += f"; radius: per P x period steps, easgd at beta {BETA}"
    return {"curvature": a, **({"lr": lr} if lr else {}), "table": table, "note": note}


def _d2(options: argparse.Namespace) -> Facts:
    from hogwild.theory import mixing as theory
    from hogwild.topology.catalog import d2_safe

    table = []
    for name in (options.topology,) if options.topology else _possible(options):
        given = mixing(name, options.workers, options.weights, options.self_weight)
        lowest, safe = d2_safe(given)
        found = theory.spectrum(given.rounds[0])
        row: Row = {"topology": name, "lambda_2": found.lambda_2, "lambda_min": lowest, "sigma_2": found.sigma_2}
        row |= {"steps_to_1e-3": found.steps, "d2_factor": theory.d2_contraction(given.rounds[0])}
        row |= {"lazy_d2_factor": theory.d2_contraction(theory.lazy(given.rounds[0]))}
        edges = given.edges()
        row["random_pair_factor"] = theory.random_pairs(given.n, edges) if edges else None
        table.append({**row, "verdict": "stable" if safe is given else "unsafe: use lazy"})
    note = (
        "D² is stable if and only if lambda_min > -1/3 (its factor is then below 1)\n"
        "random_pair_factor: of the mean squared distance from the mean per average of a random pair, in the long run"
    )
    return {"weights": options.weights, "self_weight": options.self_weight, "table": table, "note": note}


EXAMINE: dict[str, Callable[[argparse.Namespace], Facts]] = {
    "easgd": _easgd,
    "admm": _admm,
    "downpour": _downpour,
    "d2": _d2,
}


def _possible(options: argparse.Namespace) -> Iterator[str]:
    """The symmetric topologies that exist for this number of workers."""
    for name in FIXED:
        try:
            if mixing(name, options.workers, options.weights, options.self_weight).symmetric:
                yield name
        except UsageError:
            continue


def _verdict(is_stable: bool) -> str:
    return "stable" if is_stable else "unstable"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{0.0 if abs(value) < 1e-12 else value:.6g}"
    return "-" if value is None else str(value)
