"""`hogwild stability`: the largest stable learning rate under a delay, and the learning rate to take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hogwild import delays
from hogwild.errors import UsageError
from hogwild.faces import shell
from hogwild.run_directory import to_json
from hogwild.theory import RULES

MOMENTUM = 0.9
LARGEST_DELAY = 4096
LARGEST_DEGREE = 300  # all roots of a polynomial take seconds above this
GROWTH = 1e4
MARGIN = 0.9  # of the threshold, where the curvature is known
DESCRIPTION = "The largest stable learning rate under a delay, near a minimum: curvature x lr < threshold."


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_stability, argv)


def _stability(argv: Sequence[str]) -> int:
    options = _parser().parse(argv)
    if options.momentum is None:
        options.momentum = 0.0 if options.rule == "none" else MOMENTUM
    _check(options)
    try:
        facts = examine(options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.plot is not None:
        _plot(Path(options.plot), facts)
    print(to_json(facts, indent=2) if options.json else _report(facts))
    return 0


def _parser() -> shell.Parser:
    parser = shell.Parser("hogwild stability", DESCRIPTION)
    add = parser.add_argument
    add("--rule", default="none", choices=RULES, help="the momentum (default: none)")
    add("--delay", default="4", metavar="SPEC", help=f"{delays.SPECS} (default: 4)")
    add("--momentum", type=float, metavar="M", help=f"momentum factor (default: {MOMENTUM}; rule none: 0)")
    add("--dampening", type=float, default=0.0, metavar="D", help="the gradient enters times 1 - D (default: 0)")
    add("--weight-decay", type=float, default=0.0, metavar="X", help="needs --curvature (default: 0)")
    add("--curvature", type=float, metavar="A", help="largest eigenvalue of the Hessian")
    add("--lr", type=float, metavar="X", help="learning rate to compare with the threshold")
    add("--lr-sync", type=float, metavar="X", help="learning rate of a run without delay, to be moved to this delay")
    add("--sync-momentum", type=float, metavar="M", help="momentum of that run (default: --momentum)")
    add("--sync-dampening", type=float, metavar="D", help="dampening of that run (default: --dampening)")
    add("--noise", type=float, default=0.0, metavar="Q", help="variance of a batch's curvature / A^2 (default: 0)")
    add("--table", type=int, metavar="N", help="also every constant delay from 0 to N")
    add("--json", action="store_true", help="print one JSON object on stdout")
    add("--plot", metavar="FILE.png", help="draw 1 / threshold over the delay")
    return parser


def _check(options: argparse.Namespace) -> None:
    for name in ("curvature", "lr", "lr_sync"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"--{name.replace('_', '-')} {value:g}: it must be a number > 0")
    if options.weight_decay and options.curvature is None:
        raise UsageError(f"--weight-decay {options.weight_decay:g} counts beside the curvature: give --curvature A too")
    if options.table is not None and not 0 <= options.table <= LARGEST_DELAY:
        raise UsageError(f"--table {options.table}: it must be from 0 to {LARGEST_DELAY}")


def examine(options: argparse.Namespace) -> dict[str, Any]:
    """All that theory says about these options, plain. ValueError or UsageError if they are not allowed."""
    from hogwild.theory import stability

    law = delays.parse(options.delay)
    if max(law) > LARGEST_DELAY:
        raise UsageError(f"delay {options.delay!r} reaches {max(law)}; at most {LARGEST_DELAY} is solved")
    momentum = {"momentum": options.momentum, "dampening": options.dampening}
    decay = {"weight_decay": options.weight_decay / (options.curvature or 1.0)}
    first = stability.threshold(options.rule, law, **momentum, **decay)
    facts: dict[str, Any] = {
        "rule": options.rule,
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
    """Where curvature x lr lies, and how fast the loss changes there."""
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
    """The learning rate of the synchronous run at this delay, in three ways."""
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


def _plot(path: Path, facts: dict[str, Any]) -> None:
    """1 / threshold over constant delays, as in figures 4, 6 and 10 of Giladi et al. 2020, without weight decay."""
    from hogwild.theory import stability

    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'hogwild[plot]'") from None
    m, d, delay = facts["momentum"], facts["dampening"], facts["delay"]
    points = sorted({round(x) for x in (n * max(2 * delay["mean"], 16) / 64 for n in range(65))})
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    curves = {"none": (0.0, 0.0), facts["rule"]: (m, d)}
    for rule, (momentum, dampening) in curves.items():
        label = rule if rule == "none" else f"{rule}, m = {momentum:g}, dampening = {dampening:g}"
        axes.plot(points, [1 / stability.threshold(rule, n, momentum, dampening) for n in points], label=label)
    axes.plot(delay["mean"], 1 / facts["edge"], "o", label=f"--delay {delay['spec']}")
    axes.set(xlabel="delay", ylabel="1 / (curvature x largest stable lr)")
    axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
