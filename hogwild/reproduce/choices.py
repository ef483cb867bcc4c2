"""Nine questions about which method to take when, for choose.py: the cells, and what the literature claims.

The paper: no single one; each claim is that of the papers named in the algorithms' files, most of them theory or runs
on larger models. Here: the simulator, a perceptron with 256 hidden units, batches of 16, constant learning rates,
three seeds. At tiny scale digits, in the first two 4,000 samples of Fashion-MNIST; at paper scale all of Fashion-MNIST
and a finer list of learning rates. Paper scale takes days.

The first question is asked once more, as choose-9, of a convex model that cannot fit its data, where a bias lasts:
softmax regression on 10,000 samples, a class for each of ten workers, and fixed speeds. Theory (Ringleader ASGD)
promises a gain there if the noise of single gradients is large, hence also batches of one sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from hogwild.reproduce import choice_verdicts as verdicts
from hogwild.reproduce.choose import FASHION, LRS, Cell, Experiment, Setting

EQUAL, UNEQUAL = "gamma:cv=0.1", "gamma:cv=0.1,het=0.6"
MOMENTUM = 10.0  # learning rates of methods with momentum 0.9 are a tenth
IN_STEP, PIXELS = ("ssgd", "malenia"), 10.0  # and of one layer on pixels, but for means of all workers' gradients
FAST = {"tiny": 0.1, "paper": 0.35}  # training loss
CONSENSUS = {"tiny": 1.5, "paper": 1.0}
COARSE = (0.03, 0.1, 0.3, 1.0)
SLOWER = {4: 4.0, 5: 4.0, 6: 4.0, 7: 16.0, 8: 16.0, 9: 16.0}
CONVEX = {"samples": 10_000, "tests": 2000, "points": 50}
CONVEX_LOSS = {"tiny": 0.7, "paper": 0.45}
Methods = Iterable[tuple[str, Mapping[str, Any]]]


def cells(setting: Setting, methods: Methods, finer: float = 1.0) -> tuple[Cell, ...]:
    return tuple(Cell(setting, algorithm, options, finer) for algorithm, options in methods)


def grid(algorithm: str, **values: Iterable[Any]) -> list[tuple[str, dict[str, Any]]]:
    """The algorithm with every combination of these values of its options."""
    return [(algorithm, dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*values.values())]


UNBIASED: Methods = [
    ("ssgd", {}), ("asgd", {}), *grid("rescaled", cap=(3, 0)), ("ia2sgd", {}), ("ringleader", {}), ("malenia", {}),
    ("area", {"period": 4}),
]  # fmt: skip
LOCAL: Methods = [
    *grid("local-sgd", period=(4, 16, 64)), *grid("downpour", period=(4, 16, 64), delay_limit=(0,)),
    *[("downpour", {"period": period, "delay_limit": 16 * period}) for period in (4, 16, 64)],
    *grid("fedbuff", period=(4, 16, 64)), *grid("area", period=(4, 16, 64)),
]  # fmt: skip
LOCAL_WITH_MOMENTUM: Methods = [
    method for name in ("diloco", "async-diloco", "noloco") for method in grid(name, period=(4, 16, 64))
]
OUTER = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5)


def split() -> tuple[Cell, ...]:
    values = {"workers": 8, "clock": UNEQUAL, "shard": "label"}
    setting = Setting("split data, unequal speeds", 200.0, values, FASHION)
    return cells(setting, [*UNBIASED, ("rescaled", {"cap": 10})])


def convex() -> tuple[Cell, ...]:
    """A class for each of ten workers. A factor of rescaled is at most 8 there."""
    fixed = {"workers": 10, "clock": EQUAL, "shard": "label", "model": "logistic", "straggler": SLOWER}
    found: list[Cell] = []
    for size, target in itertools.product((16, 1), (None, CONVEX_LOSS)):
        name = f"a class each, three are 4 and three 16 times slower, batches of {size}{', by loss' if target else ''}"
        setting = Setting(name, 800.0, {**fixed, "batch_size": size}, CONVEX, target=target)
        found += [Cell(setting, method, options, 1.0 if method in IN_STEP else PIXELS) for method, options in UNBIASED]
    return tuple(found)


def same_data() -> tuple[Cell, ...]:
    setting = Setting("same data, unequal speeds", 200.0, {"workers": 8, "clock": UNEQUAL}, FASHION)
    return cells(setting, [*UNBIASED, ("rescaled", {"cap": 10}), ("asgd", {"clip": 1.0})])


def ahead() -> tuple[Cell, ...]:
    settings = [
        Setting(f"{n} workers in turn", 1600 / n, {"workers": n, "clock": "round-robin"}) for n in (2, 4, 8, 32)
    ]
    methods = [method for name in ("nag-asgd", "dana-slim") for method in grid(name, ahead=(0.0, 0.5, 0.9, 1.0))]
    return tuple(cell for setting in settings for cell in cells(setting, methods, MOMENTUM))


def straggler() -> tuple[Cell, ...]:
    setting = Setting("one of 8 is 10 times slower", 120.0, {"workers": 8, "clock": EQUAL, "straggler": {0: 10}})
    others: Methods = [("asgd", {}), ("asgd", {"clip": 1.0}), ("ringmaster", {"delay_limit": 16}), ("ssgd", {})]
    return cells(setting, [*grid("k-batch-sync", k=(2, 4, 8, 16, 32)), *others])


def ring() -> tuple[Cell, ...]:
    values = {"clock": EQUAL, "shard": "label", "latency": 0.1}
    settings = [Setting(f"ring of {n}, split data", 60.0, {"workers": n, **values}) for n in (8, 16, 32)]
    methods = [("ad-psgd", {"topology": "ring"}), ("acid", {"topology": "ring"})]
    return tuple(cell for setting in settings for cell in cells(setting, methods))


def slow_links() -> tuple[Cell, ...]:
    setting = Setting("latency 5, unequal speeds", 400.0, {"workers": 8, "clock": UNEQUAL, "latency": 5.0})
    return cells(setting, [("ssgd", {}), ("asgd", {}), *LOCAL]) + cells(setting, LOCAL_WITH_MOMENTUM, MOMENTUM)


def outer() -> tuple[Cell, ...]:
    settings = [Setting(f"{n} workers, period 16", 96.0, {"workers": n, "clock": EQUAL}) for n in (4, 16)]
    methods = [
        *grid("slowmo", period=(16,), outer_lr=OUTER, outer_momentum=(0.0, 0.5, 0.9)),
        *grid("diloco", period=(16,), momentum=(0.0,), outer_lr=OUTER, outer_momentum=(0.5, 0.9)),
    ]
    return tuple(cell for setting in settings for cell in cells(setting, methods))


def hidden() -> tuple[Cell, ...]:
    values = {"workers": 4, "clock": EQUAL, "bandwidth": 30_000.0}
    setting = Setting("narrow links", 300.0, values, message=2.6)
    methods: Methods = [
        ("diloco", {"period": 32}), ("overlap-sgd", {"period": 32, "momentum": 0.9}),
        *grid("streaming-diloco", period=(32,), fragments=(1, 4), overlap=(0, 1, 5), alpha=(0.0, 0.5)),
    ]  # fmt: skip
    return cells(setting, methods, MOMENTUM)


EXPERIMENTS = (
    Experiment(
        "choose-1",
        "With split data and unequal speeds methods without the bias of asgd come within 0.5 points of ssgd's accuracy "
        "in less than half its time",
        split(),
        "ssgd",
        verdicts.unbiased,
        lrs=LRS["tiny"],
    ),
    Experiment(
        "choose-2",
        "With the same data for all, ia2sgd and ringleader need longer than asgd with clipping",
        same_data(),
        "ssgd",
        verdicts.price,
        lrs=COARSE,
    ),
    Experiment(
        "choose-3",
        "The look-ahead that trains fastest is the one with the largest limit of stability: 1 for a private momentum, "
        "ever less gain for a shared one",
        ahead(),
        FAST,
        verdicts.look_ahead,
        lrs=(0.03, 0.1, 0.3),
    ),
    Experiment(
        "choose-4",
        "With one straggler among 8 the best batch of k-batch-sync is above 1, and it is as fast as asgd with clipping",
        straggler(),
        FAST,
        verdicts.batch,
    ),
    Experiment(
        "choose-5",
        "On a ring acid needs 1.4 to 2.9 times less time than ad-psgd, the more the longer the ring",
        ring(),
        CONSENSUS,
        verdicts.consensus,
    ),
    Experiment(
        "choose-6",
        "With slow links methods with local steps beat those that send every gradient, and those without rounds lead",
        slow_links(),
        FAST,
        verdicts.local,
    ),
    Experiment(
        "choose-7",
        "Without outer momentum the best outer rate is at least 1, and the more momentum, the smaller it is",
        outer(),
        FAST,
        verdicts.rates,
        lrs=(0.03, 0.1, 0.3),
    ),
    Experiment(
        "choose-8",
        "Fragments that travel while workers compute reach the target sooner than diloco",
        hidden(),
        FAST,
        verdicts.overlap,
        lrs=(0.03, 0.1, 0.3),
    ),
    Experiment(
        "choose-9",
        "The same as choose-1, for a convex model, a class for each worker and fixed speeds",
        convex(),
        "ssgd",
        verdicts.unbiased,
        lrs=(0.01, 0.03, 0.1),
    ),
)
FIGURES = tuple(experiment.figure("Which method when") for experiment in EXPERIMENTS)
