"""Which decay of tests/algorithms/decay.py each algorithm follows, with which options."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from decay import (
    Decay,
    M,
    adagrad,
    adam,
    admm,
    async_diloco,
    downpour,
    elastic,
    elastic_rounds,
    gap_aware,
    lion,
    once,
    once_all_have_come,
    ormo,
    outer,
    push_sum,
    quasi_global,
    random_pairs,
    rescaled,
    rmsprop,
    shared,
    smega2,
    tree,
)


def with_momentum(**options: object) -> dict[str, object]:
    return {"momentum": M, **options}


def inverse(delay: int) -> float:
    return 1 / max(1, delay)


HEAVY, PRIVATE = partial(shared, m=M), partial(shared, m=M, own=True)
NESTEROV, ONCE = partial(shared, m=M, nesterov=True), partial(once, m=M)
EXCHANGE: Mapping[str, float] = {"alpha": 0.2, "period": 2}
OUTER: Mapping[str, float] = {"period": 2, "outer_lr": 0.6, "outer_momentum": 0.4}

DECAYS: list[tuple[str, dict[str, object], Decay]] = [
    ("sgd", with_momentum(), HEAVY),
    ("ssgd", with_momentum(), ONCE),
    ("asgd", {}, shared),
    ("asgd", with_momentum(), HEAVY),
    ("asgd", with_momentum(momentum_kind="nesterov"), NESTEROV),
    ("asgd", {"penalty": "staleness"}, shared),
    ("asgd", {"penalty": "staleness-lr"}, partial(shared, rate=inverse)),
    ("asgd", with_momentum(compensation="dc"), HEAVY),
    ("nag-asgd", with_momentum(), NESTEROV),
    ("shifted", with_momentum(), PRIVATE),
    ("staleness-aware", with_momentum(), partial(shared, m=M, rate=inverse)),
    ("gap-aware", with_momentum(gap_decay=0.9), partial(gap_aware, gap_decay=0.9)),
    ("gap-aware", with_momentum(gap_decay=0.9, penalize_wd=False), HEAVY),
    ("dana-zero", with_momentum(), PRIVATE),
    ("dana-slim", with_momentum(), partial(shared, m=M, own=True, nesterov=True)),
    ("dana-ga", with_momentum(), PRIVATE),
    ("dana-ga", with_momentum(gap_decay=0.9, penalize_wd=True), partial(gap_aware, gap_decay=0.9, dana=True)),
    ("dana-sa", with_momentum(), PRIVATE),
    ("dc-asgd", with_momentum(), HEAVY),
    ("smega2", with_momentum(), smega2),
    ("ormo", with_momentum(), ormo),
    ("delay-adaptive", {}, shared),
    ("delay-adaptive", {"rule": "koloskova", "delay_cutoff": 1}, partial(shared, rate=inverse)),
    ("ringmaster", {}, shared),
    ("ringmaster-muon", {}, shared),
    ("picky", {}, shared),
    ("clipped", with_momentum(), HEAVY),
    ("adamw", {}, shared),
    ("adamw", {"momentum_kind": "dana", "beta1": 0.5}, shared),
    ("adamw", {"penalty": "staleness-lr"}, partial(shared, rate=inverse)),
    ("adamw", {"decoupled": False, "beta1": 0.6, "beta2": 0.8}, partial(adam, beta1=0.6, beta2=0.8)),
    ("adamw", {"decoupled": False, "momentum_kind": "heavy-ball"}, partial(adam, beta1=0.9, beta2=0.999, own=False)),
    ("rmsprop", {}, partial(rmsprop, beta2=0.99, eps=0.1)),
    ("rmsprop", {"eps_inside": False, "beta2": 0.8}, partial(rmsprop, beta2=0.8, eps=0.1, inside=False)),
    ("rmsprop", {"decoupled": True}, shared),
    ("adagrad", {"initial_accumulator": 0.3}, partial(adagrad, start=0.3)),
    ("lion", {}, shared),
    ("lion", {"decoupled": False}, partial(lion, beta1=0.9, beta2=0.99)),
    ("easgd", {**EXCHANGE}, partial(elastic, **EXCHANGE)),
    ("easgd", {**EXCHANGE, "exchange": "post"}, partial(elastic, **EXCHANGE, post=True)),
    ("easgd-sync", {**EXCHANGE}, partial(elastic_rounds, **EXCHANGE)),
    ("easgd-sync", with_momentum(**EXCHANGE, form="gauss-seidel"), partial(elastic_rounds, **EXCHANGE, m=M, last=True)),
    ("eamsgd", with_momentum(**EXCHANGE), partial(elastic, **EXCHANGE, m=M)),
    ("easgd-tree", with_momentum(**EXCHANGE, period_up=3, degree=2), partial(tree, **EXCHANGE, period_up=3)),
    ("downpour", with_momentum(period=2), partial(downpour, period=2)),
    ("mdownpour", with_momentum(), NESTEROV),
    ("mdownpour", with_momentum(form="m1"), partial(shared, m=M, rate=lambda delay: M)),
    ("adownpour", with_momentum(period=2), partial(downpour, period=2, average=0.0)),
    ("mvadownpour", with_momentum(period=2, average_rate=0.3), partial(downpour, period=2, average=0.3)),
    ("admm", {"rho": 2.5}, partial(admm, rho=2.5)),
    ("lookahead", with_momentum(period=2, slow_rate=0.4), partial(downpour, period=2, part=0.4)),
    ("local-sgd", with_momentum(period=2), ONCE),
    ("slowmo", with_momentum(**OUTER), partial(outer, period=2, a=0.6, outer_m=0.4, nesterov=False)),
    ("diloco", with_momentum(**OUTER), partial(outer, period=2, a=0.6, outer_m=0.4, nesterov=True)),
    ("async-diloco", with_momentum(**OUTER, outer_every=3),
     partial(async_diloco, period=2, a=0.6, outer_m=0.4, every=3)),
    ("d-psgd", with_momentum(), ONCE),
    ("d-psgd", with_momentum(combine="last"), ONCE),
    ("ad-psgd", with_momentum(), random_pairs),
    ("d2", with_momentum(), ONCE),
    ("sgp", {}, push_sum),
    ("qg-dsgdm", with_momentum(quasi_global=0.8), partial(quasi_global, mu=0.8)),
    ("gradient-tracking", {}, once),
    ("asysg-con", {"gradients": 2}, partial(once, times=2)),
    ("asysg-incon", {}, shared),
    ("softsync", with_momentum(), ONCE),
    ("softsync", with_momentum(modulation="gradient"), ONCE),
    ("k-sync", with_momentum(), ONCE),
    ("k-batch-sync", with_momentum(), ONCE),
    ("k-async", with_momentum(), ONCE),
    ("k-batch-async", with_momentum(), ONCE),
    ("rescaled", {}, rescaled),
    ("ia2sgd", {}, once_all_have_come),
    ("ringleader", {}, once),
    ("malenia", {}, once),
    ("overlap-sgd", {}, once),
    ("sparta", with_momentum(fraction=1.0), ONCE),
]  # fmt: skip
"""Algorithm, options, decay."""

COUNTED = ("asysg-con", "softsync", "k-sync", "k-batch-sync", "k-async", "k-batch-async", "ringleader", "malenia")
"""Several gradients make an update: the model is that after the actual number of updates."""

SLOWLY = ("acid", "area", "fedbuff", "gpa", "noloco", "relaysgd", "streaming-diloco")
"""Averages of models, or of differences between them, that come later: the model of a single update says little."""
