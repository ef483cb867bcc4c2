"""The flags of `hogwild stability`: each family of algorithms has its own, with its own defaults."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from hogwild import delays
from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.theory import ADAPTIVE, EXCHANGES, RULES
from hogwild.topology import SPECS, WEIGHTS

MOMENTUM = 0.9
DESCRIPTION = "How large a learning rate, a moving rate or a mixing may be before an algorithm leaves a minimum."
FAMILIES: dict[str, dict[str, Any]] = {
    "delay": {
        "rule": "none",
        "delay": "4",
        "momentum": None,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "curvature": None,
        "lr": None,
        "lr_sync": None,
        "sync_momentum": None,
        "sync_dampening": None,
        "noise": 0.0,
        "table": None,
        "plot": None,
    },
    "easgd": {
        "workers": 4,
        "period": 1,
        "alpha": None,
        "beta": None,
        "rho": None,
        "curvature": 1.0,
        "lr": None,
        "momentum": 0.0,
        "exchange": "paper",
    },
    "admm": {"workers": 3, "rho": None, "curvature": 1.0, "lr": None, "plot": None},
    "downpour": {"workers": 4, "period": None, "curvature": 1.0, "lr": None, "plot": None},
    "d2": {"workers": 8, "topology": None, "weights": "uniform", "self_weight": None},
}
"""Family -> its flags and their defaults."""

POSITIVE = ("curvature", "lr", "lr_sync", "alpha", "beta", "rho")
AT_LEAST_ONE = ("workers", "period")
LARGEST = {"workers": 256, "period": 100_000}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Every flag of the family, with its default if it was not given. The flags of other families are None."""
    options = parser().parse(argv)
    known = FAMILIES[options.family]
    for name, value in vars(options).items():
        if name in ("family", "json"):
            continue
        if value is not None and name not in known:
            others = " or ".join(family for family, flags in FAMILIES.items() if name in flags)
            raise UsageError(f"{_flag(name)} has no effect with --family {options.family}: it is for {others}")
        if value is None:
            setattr(options, name, known.get(name))
    for name in POSITIVE:
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{_flag(name)} {value:g}: it must be a number > 0")
    for name in AT_LEAST_ONE:
        value = getattr(options, name)
        if value is not None and not 1 <= value <= LARGEST[name]:
            raise UsageError(f"{_flag(name)} {value}: it must be from 1 to {LARGEST[name]}")
    return options


def frozen_rule(options: argparse.Namespace) -> str | None:
    """Replaces an adaptive rule by the one that it is while its q is fixed; returns its name. UsageError for flags that
    have no meaning then.
    """
    if (asked := options.rule) not in ADAPTIVE:
        return None
    for name in ("dampening", "weight_decay", "lr_sync"):
        if getattr(options, name):
            why = {
                "dampening": "it is the momentum, beta1",
                "weight_decay": "decoupled weight decay is not part of this theory",
                "lr_sync": "q adapts to the delay, so no lr follows from another: compare with the threshold",
            }[name]
            raise UsageError(f"{_flag(name)} has no effect with --rule {asked}: {why}")
    options.rule = ADAPTIVE[asked]
    if options.rule != "none":
        options.momentum = MOMENTUM if options.momentum is None else options.momentum
        options.dampening = options.momentum
    return str(asked)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild stability", DESCRIPTION)
    add = parser.add_argument
    add("--family", default="delay", choices=FAMILIES, help="of algorithms; delay: stale gradients (default: delay)")
    add(
        "--curvature",
        type=float,
        metavar="A",
        help="largest eigenvalue of the Hessian (default: unknown; delay apart: 1)",
    )
    add("--lr", type=float, metavar="X", help="learning rate to compare with the threshold")
    add("--momentum", type=float, metavar="M", help=f"(default: {MOMENTUM}; rule none and easgd: 0)")
    add("--json", action="store_true", help="print one JSON object on stdout")
    add("--plot", metavar="FILE.png", help="draw the threshold, or the figure of the family (delay, admm, downpour)")
    add = parser.add_argument_group("delay").add_argument
    add("--rule", choices=(*RULES, *ADAPTIVE), help="the momentum, or an adaptive rule with a fixed q (default: none)")
    add("--delay", metavar="SPEC", help=f"{delays.SPECS} (default: 4)")
    add("--dampening", type=float, metavar="D", help="the gradient is multiplied by 1 - D (default: 0)")
    add("--weight-decay", type=float, metavar="X", help="needs --curvature (default: 0)")
    add("--lr-sync", type=float, metavar="X", help="learning rate of a run without delay, to convert to this delay")
    add("--sync-momentum", type=float, metavar="M", help="momentum of that run (default: --momentum)")
    add("--sync-dampening", type=float, metavar="D", help="dampening of that run (default: --dampening)")
    add("--noise", type=float, metavar="Q", help="variance of a batch's curvature / A^2 (default: 0)")
    add("--table", type=int, metavar="N", help="also show every constant delay from 0 to N")
    add = parser.add_argument_group("easgd, admm, downpour (workers in turn) and d2").add_argument
    add("-p", "--workers", type=int, metavar="P", help="(default: easgd and downpour 4, admm 3, d2 8)")
    add("--period", type=int, metavar="N", help="local steps per exchange (default: easgd 1, downpour 1, 4, 16 and 64)")
    add("--alpha", type=float, metavar="X", help="moving rate of one exchange (default: beta / P)")
    add("--beta", type=float, metavar="X", help="moving rate of all workers (default: 0.9)")
    add("--rho", type=float, metavar="X", help="elastic penalty: alpha = lr rho; of admm (default: a table)")
    add("--exchange", choices=EXCHANGES, help="exchange at the gradient's x, or post: after that step (default: paper)")
    add("--topology", metavar="NAME", help=f"{SPECS} (default: all that have one matrix)")
    add("--weights", choices=WEIGHTS[:3], help="of that topology (default: uniform)")
    add("--self-weight", type=float, metavar="X", help="smallest weight that a worker gives itself")
    return parser
