"""Conservation by averaging, under load: the sum of all models changes only by the applied gradients.

The ledger is kept in float64. A single lost addition of one gradient to one chunk causes an rms error above 5e-3.
"""

from __future__ import annotations

import math

import pytest
import torch
from replica_processes import WAIT_S, Team, held, run
from slow import slow

from hogwild.rules import Access

EPS = torch.finfo(torch.float32).eps
STEPS = 500  # of each of four workers, in the short form
LONG_STEPS = 10_000
LONG = pytest.mark.slow, pytest.mark.timeout(900)

# The invariant of each algorithm: buffers that are added, and buffers that are subtracted.
SUMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easgd": (("replica", "x"), ()),
    "easgd-sync": (("replica", "x"), ()),
    "easgd-tree": (("replica", "node", "x"), ()),
    "downpour": (("x", "replica"), ("base",)),
    "local-sgd": (("replica",), ()),
    "ad-psgd": (("replica",), ()),
    "d-psgd": (("replica",), ()),
    "d2": (("replica",), ()),
    "sgp": (("replica", "box"), ()),
}
ROUNDED = ("easgd-sync", "local-sgd")
TREE = {"degree": 2, "period": 1, "period_up": 3}
CASES = [
    ("easgd", {"period": 1}, Access.ATOMIC),
    ("easgd", {"period": 1}, Access.STRIPED),
    ("easgd", {"period": 1}, Access.LOCKED),
    ("easgd", {"period": 2, "exchange": "post"}, Access.ATOMIC),
    ("easgd-sync", {"period": 2}, Access.ATOMIC),
    ("easgd-tree", TREE, Access.ATOMIC),
    ("downpour", {"period": 1}, Access.ATOMIC),
    ("downpour", {"period": 3}, Access.LOCKED),
    ("local-sgd", {"period": 2}, Access.ATOMIC),
    ("ad-psgd", {}, Access.ATOMIC),
    ("ad-psgd", {"pairing": "blocking"}, Access.ATOMIC),
    ("ad-psgd", {"pairing": "bipartite", "topology": "bipartite"}, Access.ATOMIC),
    ("d-psgd", {}, Access.ATOMIC),
    ("d-psgd", {"combine": "last", "topology": "one-peer-exponential"}, Access.ATOMIC),
    ("d2", {}, Access.ATOMIC),
    ("sgp", {}, Access.ATOMIC),
]


def total(team: Team, world) -> torch.Tensor:
    plus, minus = SUMS[team.name]
    return held(world, *plus) - held(world, *minus)


def drift(team: Team, steps: int) -> tuple[float, float]:
    """(rms, largest) of the invariant's error after `steps` steps of every worker."""
    world = team.world()
    before = total(team, world)
    applied, skipped = run(team, world, steps, timeout_s=WAIT_S * max(1, steps // 1000))
    assert float(applied.square().mean().sqrt()) > 0.1, "the gradients must move the sum"
    error = total(team, world) - before - applied
    rms, largest = float(error.square().mean().sqrt()), float(error.abs().max())
    what = " ".join(f"{k}={v}" for k, v in team.options.items())
    print(
        f"\n{team.name} {what} {team.access.value}, {team.workers} workers x {steps}: "
        f"rms {rms:.1e}, max {largest:.1e}, skipped {skipped}"
    )
    if team.name == "sgp":
        mass = torch.stack([world.arena.tensor("mass", rank) for rank in range(team.workers)])
        assert float(mass.sum()) == pytest.approx(team.workers, abs=1e-9)
        assert float(mass.min()) >= 0
    return rms, largest


SELDOM = [case for case in CASES if case[2] is not Access.ATOMIC or "exchange" in case[1] or "pairing" in case[1]]


@pytest.mark.parametrize(
    ("workers", "steps"),
    [(4, STEPS), pytest.param(4, LONG_STEPS, marks=LONG), pytest.param(8, LONG_STEPS // 2, marks=LONG)],
)
@pytest.mark.parametrize(("name", "options", "access"), [slow(case) if case in SELDOM else case for case in CASES])
def test_nothing_is_lost(name: str, options: dict[str, object], access: Access, workers: int, steps: int):
    """Up to float32 rounding: a random walk of a few eps per step of every worker. Rounded weights do not exactly sum
    to 1, which adds up to eps per round.
    """
    rms, largest = drift(Team(name, options, workers, access=access), steps)
    walk, weights = EPS * math.sqrt(workers * steps), EPS * steps if name in ROUNDED else 0.0
    assert rms < 4 * walk + weights
    assert largest < 40 * walk + 4 * weights


@pytest.mark.parametrize("name", ["easgd", "downpour"])
@pytest.mark.parametrize(
    "steps", [STEPS, pytest.param(LONG_STEPS, marks=LONG)]
)  # fmt: skip
def test_racing_may_lose_but_never_tears(name: str, steps: int):
    """The drift is printed. Every element differs from another one by additions of some worker: no element leaves the
    range.
    """
    world_range = 20.0
    rms, largest = drift(Team(name, {"period": 1}, 4, access=Access.RACING), steps)
    assert math.isfinite(rms)
    assert largest < world_range
