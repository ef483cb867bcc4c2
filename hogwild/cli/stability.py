"""`hogwild stability`: the largest stable learning rate under a delay, and the learning rate to take.

The families of averaging algorithms: hogwild/cli/families.py.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hogwild import delays
from hogwild.cli import families, picture, shell, stability_flags
from hogwild.cli.stability_flags import parser as parser
from hogwild.errors import UsageError
from hogwild.runs.files import to_json

LARGEST_DELAY = 4096
LARGEST_DEGREE = 300  # above this degree, finding all roots of a polynomial takes seconds
GROWTH = 1e4
MARGIN = 0.9  # recommended fraction of the threshold, if the curvature is known


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_stability, argv)


def _stability(argv: Sequence[str]) -> int:
    options = stability_flags.parse(argv)
    is_delay = options.family == "delay"
    try:
        facts = examine(options) if is_delay else families.examine(options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.plot is not None:
        picture.save(Path(options.plot), _curve(facts) if is_delay else families.figure(options))
    if options.json:
        print(to_json(facts, indent=2))
    else:
        print(_report(facts) if is_delay else families.report(facts))
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.weight_decay and options.curvature is None:
        raise UsageError(f"--weight-decay {options.weight_decay:g} counts beside the curvature: give --curvature A too")
    if options.table is not None and not 0 <= options.table <= LARGEST_DELAY:
        raise UsageError(f"--table {options.table}: it must be from 0 to {LARGEST_DELAY}")


def examine(options: argparse.Namespace) -> dict[str, Any]:
    """All results of theory for these options, as JSON values. Raises ValueError or UsageError for bad options."""
    from hogwild.theory import stability

    adaptive = stability_flags.frozen_rule(options)
    if options.momentum is None:
        options.momentum = 0.0 if options.rule == "none" else stability_flags.MOMENTUM
    _check(options)
    law = delays.parse(options.delay)
    if max(law) > LARGEST_DELAY:
        raise UsageError(f"delay {options.delay!r} reaches {max(law)}; at most {LARGEST_DELAY} is solved")
    momentum = {"momentum": options.momentum, "dampening": options.dampening}
    decay = {"weight_decay": options.weight_decay / (options.curvature or 1.0)}
    first = stability.threshold(options.rule, law, **momentum, **decay)
    facts: dict[str, Any] = {
        "rule": options.rule,
        "adaptive": adaptive,
        **momentum,
        "weight_decay": options.weight_decay,
        "noise": options.noise,
        "curvature": options.curvature,
        "delay": {"spec": options.delay, "mean": delays.mean(law), "max": max(law)},
        "threshold": first,
        "mean_square_threshold": None,
        "random_order_threshold": None,
    }
    if options.rule != "dana" or len(law) == 1:
        square = stability.mean_square_threshold(options.rule, law, **momentum, **decay, noise=options.noise)
        facts["mean_square_threshold"] = square
    if options.delay.strip().startswith("geometric:"):
        workers = round(delays.mean(law)) + 1
        square = stability.random_order_threshold(options.rule, workers, **momentum, noise=options.noise)
        facts["random_order_threshold"] = square
    edge = facts["random_order_threshold"] or facts["mean_square_threshold"] or first
    facts["edge"] = edge
    facts["edge_lr"] = edge / options.curvature if options.curvature else None
    if options.lr is not None:
        facts["lr"] = {"lr": options.lr, "largest_curvature": edge / options.lr}
        if options.curvature:
            facts["lr"] |= _compare(options.rule, law, options.lr * options.curvature, edge, {**momentum, **decay})
    if options.lr_sync is not None:
        before = {"sync_momentum": options.sync_momentum, "sync_dampening": options.sync_dampening}
        moved = stability.learning_rate(options.lr_sync, law, **momentum, rule=options.rule, **before)
        ways = {way: getattr(moved, way) for way in ("effective", "exact", "paper")}
        recommended = min(moved.effective, MARGIN * (facts["edge_lr"] or math.inf))
        facts["lr_sync"] = {"sync": moved.sync, **ways, "recommended": recommended}
    if options.table is not None:
        facts["table"] = [
            {"delay": delay, "threshold": stability.threshold(options.rule, delay, **momentum, **decay)}
            for delay in range(options.table + 1)
        ]
    return facts


def _compare(rule: str, law: delays.Law, k: float, edge: float, factors: dict[str, float]) -> dict[str, Any]:
    """The ratio of curvature x lr to the threshold, and the rate at which the loss changes there."""
    from hogwild.theory import stability

    facts: dict[str, Any] = {"share": k / edge, "is_stable": k < edge, "radius": None, "updates": None}
    if max(law) <= LARGEST_DEGREE:
        facts["radius"] = radius = stability.radius(rule, law, k, **factors)
        facts["updates"] = math.log(GROWTH) / (2 * abs(math.log(radius))) if radius not in (0.0, 1.0) else None
    return facts


def _report(facts: dict[str, Any]) -> str:
    curvature, delay = facts["curvature"], facts["delay"]
    rows = [
        ("rule", ", ".join([facts["rule"], *_named(facts, "momentum", "dampening", "weight_decay", "noise")])),
        ("delay", f"{delay['spec']} (mean {delay['mean']:.4g}, largest {delay['max']})"),
        ("threshold", f"curvature x lr < {facts['threshold']:.10g} in expectation"),
    ]
    if facts["adaptive"]:
        rows.insert(
            1, ("", f"{facts['adaptive']} with a fixed q; curvature: of P^-1/2 H P^-1/2, P = sqrt(q / bc2) + eps")
        )
    if facts["mean_square_threshold"] not in (None, facts["threshold"]):
        rows.append(("", f"curvature x lr < {facts['mean_square_threshold']:.10g} in mean square"))
    if facts["random_order_threshold"]:
        rows.append(
            ("", f"curvature x lr < {facts['random_order_threshold']:.10g} in mean square, workers in random order")
        )
    if curvature:
        rows.append(("", f"lr < {facts['edge_lr']:.6g} at curvature {curvature:g}"))
    if "lr" in facts:
        rows.append((f"lr {facts['lr']['lr']:g}", _verdict(facts["lr"])))
    if "lr_sync" in facts:
        rows += _moved(facts["lr_sync"], facts["edge_lr"])
    lines = [f"{name:12} {text}" for name, text in rows]
    if "table" in facts:
        lines += ["", f"{'delay':>8} {'threshold':>14} {'1/threshold':>14}" + (f" {'lr':>14}" if curvature else "")]
        for row in facts["table"]:
            k = row["threshold"]
            lines.append(f"{row['delay']:8} {k:14.9f} {1 / k:14.6f}" + (f" {k / curvature:14.6g}" if curvature else ""))
    return "\n".join(lines)


def _named(facts: dict[str, Any], *names: str) -> list[str]:
    return [f"{name.replace('_', ' ')} {facts[name]:g}" for name in names if facts[name]]


def _verdict(facts: dict[str, Any]) -> str:
    if "share" not in facts:
        return f"stable at minima of curvature < {facts['largest_curvature']:.6g}"
    verdict = "stable" if facts["is_stable"] else "leaves the minimum"
    text = f"{verdict}, at {facts['share']:.4g} of the threshold"
    if facts["updates"] is None:
        return text
    turn = "falls" if facts["radius"] < 1 else "grows"
    return f"{text}; the loss {turn} {GROWTH:,.0f}-fold in {facts['updates']:,.0f} updates in expectation"


def _moved(lrs: dict[str, float], edge: float | None) -> list[tuple[str, str]]:
    """The learning rate of the synchronous run, converted to this delay in three ways."""
    ways = {
        "effective": "as stable as plain SGD of the same effective rate",
        "exact": "exactly as stable as the same run",
        "paper": "lr / mean delay, the rule of the paper",
    }
    if lrs["recommended"] != lrs["effective"]:
        ways = {"recommended": "with a margin", **ways}
    shares = {way: f", {lrs[way] / edge:.3g} of the threshold" if edge else "" for way in ways}
    rows = [("", f"lr {lrs[way]:<12.6g} {text}{shares[way]}") for way, text in ways.items()]
    return [(f"from {lrs['sync']:g}", f"{rows[0][1]} (recommended)"), *rows[1:]]


def _curve(facts: dict[str, Any]) -> Callable[[Any], None]:
    """1 / threshold over constant delays, as in figures 4, 6 and 10 of Giladi et al. 2020, without weight decay."""
    from hogwild.theory import stability

    m, d, delay = facts["momentum"], facts["dampening"], facts["delay"]
    points = sorted({round(x) for x in (n * max(2 * delay["mean"], 16) / 64 for n in range(65))})

    def paint(axes: Any) -> None:
        for rule, (momentum, dampening) in {"none": (0.0, 0.0), facts["rule"]: (m, d)}.items():
            label = rule if rule == "none" else f"{rule}, m = {momentum:g}, dampening = {dampening:g}"
            axes.plot(points, [1 / stability.threshold(rule, n, momentum, dampening) for n in points], label=label)
        axes.plot(delay["mean"], 1 / facts["edge"], "o", label=f"--delay {delay['spec']}")
        axes.set(xlabel="delay", ylabel="1 / (curvature x largest stable lr)")
        axes.legend()

    return paint
