"""The adaptive algorithms: stability under delay with a fixed q, counts over restarts, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make
from slow import rest_is_slow

from hogwild.algorithms.registry import find
from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.errors import UsageError
from hogwild.theory.stability import threshold

LR, SCALE = 0.05, torch.tensor([0.5, 2.0], dtype=torch.float64)
SHARES = torch.tensor([0.995, 1.005], dtype=torch.float64)
FIXED = [  # algorithm, options, rule of the theory
    ("adamw", {"momentum_kind": "heavy-ball"}, "standard"),
    ("adamw", {"momentum_kind": "shifted"}, "shifted"),
    ("adamw", {"momentum_kind": "dana-slim"}, "dana"),
    ("adamw", {"momentum_kind": "dana"}, "dana"),
    ("rmsprop", {"eps": 1e-12, "eps_inside": False}, "none"),
]
TRANSIENT, TURNS = 500, 2000


def hold_fixed(team: Team, beta2: float, *, corrected: bool) -> None:
    """q <- what makes sqrt(q / bc2) equal SCALE after the next push; its gradient is too small to count."""
    samples = team.world.control.version + 1
    weight = 1 - beta2**samples if corrected else 1.0
    team.world.arena.tensor("q")[:2] = weight * SCALE**2 / beta2


@pytest.mark.parametrize("delay", rest_is_slow([0, 1, 3, 7, 15], {3}))
@pytest.mark.parametrize(("name", "options", "rule"), FIXED)
def test_with_a_fixed_q_the_threshold_is_that_of_averaged_momentum(name, options, rule, delay):
    """lr times the largest eigenvalue of the preconditioned Hessian, with dampening equal to the momentum."""
    momentum = 0.0 if rule == "none" else 0.9
    edge = threshold(rule, delay, momentum, momentum)
    curvature = SHARES * edge * SCALE / LR
    algorithm = make(name, **options)
    start = torch.full((2,), 1e-60, dtype=torch.float64)  # the first bias corrections lengthen steps many times
    team = Team(algorithm, Point(start), delay + 1, lambda at, rank: [curvature * at[:2]], LR)
    size = []
    for turn in range(TURNS):
        hold_fixed(team, algorithm.beta2, corrected=name == "adamw")
        team.turn(turn % (delay + 1))
        size.append(team.x[0].abs())
    window = 16 * (2 * delay + 1)
    early = torch.stack(size[TRANSIENT : TRANSIENT + window]).max(dim=0).values
    late = torch.stack(size[-window:]).max(dim=0).values
    below, above = (late / early).log().tolist()
    assert below < 0 < above


def test_lion_stays_within_a_few_steps_of_the_optimum():
    optimum = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    team = Team(make("lion"), Point(torch.zeros(3, dtype=torch.float64)), 4, lambda at, rank: [at[:3] - optimum], 1e-3)
    for turn in range(6000):
        team.turn(turn % 4)
    assert float((team.x[0] - optimum).abs().max()) < 0.03


def gradients(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
    return [torch.sin(3 * at[:5] + rank) + 0.1 * at[:5]]


def begin_again(team: Team) -> None:
    """As workers that start: each reads the model again."""
    for rank, view in enumerate(team.views):
        team.steps[rank] = team.algorithm.worker(view)
        team._ask(rank, next(team.steps[rank]))


@pytest.mark.parametrize("kind", ["dana-slim", "dana", "shifted", "heavy-ball"])
def test_a_checkpoint_carries_moments_and_counts(kind: str):
    """A run that goes on from one, and the run itself if all workers start again, take the same steps."""
    algorithm, start = make("adamw", momentum_kind=kind, penalty="gap"), torch.linspace(-1, 1, 5, dtype=torch.float64)
    first, second = (Team(algorithm, Point(start), 3, gradients, 0.05, 0.1) for _ in range(2))
    first.turns([0, 1, 2, 0, 0, 1, 2])
    saved = State.of(first.world, Point(start), algorithm)
    assert saved.steps == [3, 2, 2]
    assert {"v", "q", "s"} <= saved.buffers.keys()
    State.from_plain(saved.plain()).write_to(second.world)
    for team in (first, second):
        begin_again(team)
        team.turns([2, 0, 1, 1, 0, 2])
    assert torch.equal(first.x[0], second.x[0])
    assert torch.equal(first.buffer("q"), second.buffer("q"))


def test_a_refused_push_counts_nowhere():
    """It leaves v, q and x, and the bias corrections of the next push."""
    bad, teams = torch.full((5,), float("nan"), dtype=torch.float64), []
    for refuses in (False, True):
        team = Team(make("adamw"), Point(torch.ones(5, dtype=torch.float64)), 2, gradients, 0.05)
        team.turns([0, 1, 0])
        if refuses:
            team.answers[1] = [bad]
            team.turn(1)
        begin_again(team)
        team.turns([1, 0])
        teams.append(team)
    for name in ("x", "q"):
        assert torch.equal(teams[0].buffer(name), teams[1].buffer(name))


def test_workers_that_start_afresh_begin_their_counts_again():
    """Replicas are whole only together: with another number of workers buffers start at zero, and so do counts."""
    algorithm = make("local-sgd", momentum=0.5)
    first = Team(algorithm, Point(torch.ones(5, dtype=torch.float64)), 2, gradients, 0.05)
    first.round()
    saved = State.of(first.world, Point(torch.ones(5, dtype=torch.float64)), algorithm)
    for workers, steps in ((2, 1), (3, 0)):
        again = Team(algorithm, Point(torch.ones(5, dtype=torch.float64)), workers, gradients, 0.05)
        saved.write_to(again.world)
        assert [again.world.control.steps(rank) for rank in range(workers)] == [steps] * workers


REFUSED = [
    ("adamw", {"penalty": "staleness"}, r"penalty: 'staleness' is not allowed; .* A factor on the gradient has no eff"),
    ("rmsprop", {"gap_unit": "v", "penalty": "gap"}, r"gap_unit: 'v' is not allowed; .* divides its step"),
    ("lion", {"gap_unit": "g", "penalty": "gap"}, r"gap_unit: 'g' is not allowed; .* divides its step"),
    ("adamw", {"penalize_wd": False, "decoupled": False}, "adamw has no option 'penalize_wd': decoupled weight decay"),
    ("adagrad", {"compensation": "dc"}, "adagrad has no option 'compensation': lam g g .* units of SGD"),
    ("adamw", {"momentum": 0.9}, "adamw has no option 'momentum': it is called beta1"),
    ("adamw", {"momentum_kind": "dana", "penalty": "staleness-lr"}, "dana looks ahead by lr, which staleness-lr"),
    ("adamw", {"momentum_kind": "nesterov"}, "must be one of dana-slim, dana, shifted, heavy-ball"),
    ("adamw", {"gap_decay": 0.9}, "gap_decay is an option of penalty gap, this one is none"),
    ("adamw", {"eps": 0.0}, "eps: 0.0 is not allowed; it must be a number > 0"),
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_what_has_no_meaning_is_refused_in_one_line(name, options, message):
    with pytest.raises(UsageError, match=message) as refusal:
        Config(algorithm=name, options=options)
    assert "\n" not in str(refusal.value)


def test_adam_is_adamw():
    with pytest.raises(UsageError, match=r"unknown algorithm 'adam'\. Did you mean 'adamw'"):
        find("adam")


def test_an_adaptive_rule_has_a_learning_rate_of_its_own():
    assert Config(algorithm="adamw").lr == 1e-3
    assert Config(algorithm="lion").lr == 1e-4
    assert Config(algorithm="adamw", lr=0.5).lr == 0.5
    with pytest.raises(UsageError, match="--lr auto"):
        Config(algorithm="adamw", lr="auto")
