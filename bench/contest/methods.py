"""Who takes part: algorithms of this package with two workers, and plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.contest import ours, rivals
from bench.contest.course import Course
from bench.contest.ours import Trial

MOMENTUM = {"momentum": 0.9}


@dataclass(frozen=True)
class Method:
    """`run` trains once. `is_ours`: for the table. `slows`: it has two workers, of which one can be slow."""

    run: Callable[[Trial], Course]
    is_ours: bool
    slows: bool = True


@dataclass(frozen=True)
class Ours:
    """An algorithm of this package."""

    algorithm: str
    options: Mapping[str, object] = field(default_factory=dict)

    def __call__(self, trial: Trial) -> Course:
        return ours.train(trial, self.algorithm, self.options)


PLAIN = {
    "DDP over gloo, 2 processes": Method(rivals.ddp, False),
    "plain shared loop, 2 processes": Method(rivals.shared, False),
    "one process, 1 thread": Method(rivals.alone, False, slows=False),
    "one process, 2 threads": Method(rivals.two_threads, False, slows=False),
}
SGD = {
    "asgd": Ours("asgd", MOMENTUM),
    "shifted": Ours("shifted", MOMENTUM),
    "gap-aware": Ours("gap-aware", MOMENTUM),
    "easgd, momentum": Ours("eamsgd", MOMENTUM),
    "ad-psgd": Ours("ad-psgd", MOMENTUM),
    "ssgd": Ours("ssgd", MOMENTUM),
}
ADAMW = {
    "adamw": Ours("adamw"),
    "adamw, own momentum": Ours("adamw", {"momentum_kind": "shifted"}),
    "adamw, gap": Ours("adamw", {"penalty": "gap"}),
    "easgd, local adamw": Ours("easgd", {"local_rule": "adamw"}),
}


def methods(rule: str) -> dict[str, Method]:
    """Those that train by that rule, sgd or adamw, by their names in the table."""
    return {name: Method(run, True) for name, run in (ADAMW if rule == "adamw" else SGD).items()} | PLAIN
