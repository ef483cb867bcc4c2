"""The contract of every registered algorithm. The tests find algorithms through the registry, new ones too."""

from __future__ import annotations

import inspect
import math
import sys

import numpy as np
import pytest
import serial
import torch
from harness import Point, Team, make
from slow import slow

from hogwild.algorithms import REGISTRY
from hogwild.buffers import SHARED, SNAPSHOT, has_replicas
from hogwild.shared.layout import ParameterLayout

NAMES = sorted(REGISTRY)
ASYNCHRONOUS = [  # one gradient an update, and taken at the master
    name
    for name in NAMES
    if not REGISTRY[name].barriers_per_round
    and REGISTRY[name].max_workers != 1
    and not {"sum", "next"} & set(REGISTRY[name].buffers)
    and not has_replicas(REGISTRY[name].buffers)
]
WEIGHT_DECAY = 0.1
SHAPES = [(17, 3), (5,), (1,)]
OPTIONS = ("momentum", "dampening", "nesterov")
SERIAL = {name: {"period": 5} for name in ("downpour", "fedbuff", "area")}  # 5 divides the steps, so all is delivered
NOT_SGD = {name for name, *_ in serial.RECURSIONS}  # also different with one worker: compared with their own recursion
OPTIMUM = {  # the defaults are for longer runs than 1,500 steps per worker
    "adamw": {"decoupled": False, "eps": 1.0},  # else it stops where the scaled gradient balances wd x
    "rmsprop": {"eps": 1.0},  # a small one makes steps of a length near lr, however small the gradient
    "dana-ga": {"penalize_wd": True},  # unpenalised, the weight decay outweighs a penalised gradient at first
    "eamsgd": {"momentum": 0.9},
    "mvadownpour": {"average_rate": 0.1},
    "diloco": {"period": 20, "momentum": 0.0},
    "async-diloco": {"period": 5, "momentum": 0.0},
    "streaming-diloco": {"period": 20, "momentum": 0.0},
    "noloco": {"period": 20, "momentum": 0.0},
}
LR = {"dc-asgd": 0.05, "downpour": 0.1, "mvadownpour": 0.1}  # the quadratic below would be unstable at the default 0.2
LR["ringmaster-muon"] = 2.0  # averaged gradients: the momentum does not multiply the step


def torch_options(algorithm: object) -> dict[str, object]:
    """The torch.optim.SGD that one worker must equal."""
    return {name: getattr(algorithm, name) for name in OPTIONS if hasattr(algorithm, name)}


def clipping(algorithm: object, gradient: list[torch.Tensor]) -> float:
    """The factor of the clip of the gradient's norm."""
    norm = math.sqrt(sum(float((part**2).sum()) for part in gradient))
    return min(1.0, (algorithm.clip or math.inf) / norm)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.parts = torch.nn.ParameterList(
            [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]
        )


def noisy_gradients(count: int) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(4)
    return [
        [torch.randn(shape, generator=generator, dtype=torch.float64) + 0.01 for shape in SHAPES] for _ in range(count)
    ]


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_SGD])
def test_one_worker_equals_serial_sgd(name: str, weight_decay: float):
    algorithm, steps, lr = make(name, **SERIAL.get(name, {})), 50, 0.05
    gradients = noisy_gradients(steps + 1)
    calls = iter(range(steps + 1))
    team = Team(algorithm, Net(), 1, lambda at, rank: gradients[next(calls)], lr, weight_decay)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, weight_decay=weight_decay, **torch_options(algorithm))
    for step in range(steps):
        team.round() if algorithm.barriers_per_round else team.turn(0)
        for parameter, gradient in zip(net.parameters(), gradients[step], strict=True):
            parameter.grad = gradient * clipping(algorithm, gradients[step])
        optimizer.step()
    for ours, theirs in zip(team.x, net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize(("name", "recursion", "options", "own"), serial.RECURSIONS)
def test_one_worker_equals_the_recursion_of_the_paper(
    name: str, recursion: serial.Recursion, options: dict[str, object], own: dict[str, object], weight_decay: float
):
    """With gradients that depend on the point at which they are taken."""
    steps, lr = 60, 0.05  # steps: a multiple of every period
    noise = [torch.cat([part.reshape(-1) for part in parts]).numpy() for parts in noisy_gradients(steps + 1)]
    calls = iter(range(steps + 1))

    def gradient(k: int, at: np.ndarray) -> np.ndarray:
        return noise[k] + 0.3 * np.sin(at)

    def ours(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        parts = layout.views(at)
        flat = torch.from_numpy(gradient(next(calls), torch.cat([part.reshape(-1) for part in parts]).numpy()))
        return [piece.view_as(part) for piece, part in zip(flat.split([p.numel() for p in parts]), parts, strict=True)]

    layout = ParameterLayout.of(Net(), torch.float64)
    algorithm = make(name, **options, **own)
    team = Team(algorithm, Net(), 1, ours, lr, weight_decay)
    for _ in range(steps):
        team.round() if algorithm.barriers_per_round else team.turn(0)
    start = torch.nn.utils.parameters_to_vector(Net().parameters()).detach().numpy()
    expected = recursion(start, gradient, steps, lr=lr, weight_decay=weight_decay, **options)
    found = torch.cat([part.reshape(-1) for part in team.x]).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


LONG = ("noloco", "relaysgd", "qg-dsgdm")  # turns


# adownpour's result is the mean of all centers, early ones too; lion's steps are never shorter than lr
@pytest.mark.parametrize(
    "name", [slow(name) if name in LONG else name for name in NAMES if name not in ("adownpour", "lion")]
)
def test_the_optimum_of_a_quadratic_is_reached(name: str):
    """f(x) = sum_i a_i (x_i - b_i)^2 / 2 with curvatures from 0.1 to 1, at a stable lr, with four workers, and on it
    wd |x|^2 / 2: the optimum is a b / (a + wd). Dividing the gradient alone by its delay, 3, makes it a b / (a + 3 wd).
    """
    algorithm = make(name, **OPTIMUM.get(name, {}))
    workers = algorithm.max_workers or 4
    curvature, optimum = (
        torch.linspace(0.1, 1.0, 16, dtype=torch.float64),
        torch.linspace(-2, 3, 16, dtype=torch.float64),
    )
    momentum = getattr(algorithm, "momentum", 0.0)
    lr = LR.get(name, 0.2) * (1 - momentum)
    team = Team(
        algorithm, Point(torch.zeros(16, dtype=torch.float64)), workers,
        lambda at, rank: [(curvature * (at[:16] - optimum))], lr, WEIGHT_DECAY,
    )  # fmt: skip
    regularised = curvature * optimum / (curvature + WEIGHT_DECAY * (3 if name == "dana-sa" else 1))
    for turn in range(6000):
        team.round() if algorithm.barriers_per_round else team.turn(turn % workers)
        if turn % 100 == 99 and torch.allclose(team.x[0], regularised, rtol=1e-7, atol=1e-7):
            break  # most need a thousand
    torch.testing.assert_close(team.x[0], regularised, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_steps_at_lr_0_move_nothing_and_harm_nothing(name: str):
    """As in a warm-up that begins at 0; afterwards the model learns, and stays finite."""
    options = REGISTRY[name].options()
    short = {"period": 2} if "period" in options else {}
    algorithm = make(name, **short, **({"fragments": 2, "overlap": 0} if "fragments" in options else {}))
    workers = min(algorithm.max_workers or 3, 3)
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    team = Team(algorithm, Point(start), workers, lambda at, rank: [0.5 * at[:3] + 0.25], 0.0, WEIGHT_DECAY)
    for lr in (0.0, 0.05):
        for view in team.views:
            view.lr = lr
        for _ in range(6):
            team.round() if algorithm.barriers_per_round else team.turns(range(workers))
            if not lr:
                torch.testing.assert_close(team.x[0], start, rtol=1e-15, atol=1e-15)
    assert torch.isfinite(team.x[0]).all()
    assert bool((team.x[0] - start).abs().min() > 1e-6)


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_delays_are_those_of_the_schedule(name: str):
    """Round robin with N workers: the delay is N - 1 from the second round on, 0, 1, ..., N - 1 in the first."""
    workers = 4
    team = Team(make(name), Point(torch.ones(3, dtype=torch.float64)), workers, lambda at, rank: [at[:3] * 0.1], 0.01)
    team.turns(list(range(workers)) * 5)
    control = team.world.control
    histogram = [sum(column) for column in zip(*(control.delays(rank) for rank in range(workers)), strict=True)]
    assert histogram[:workers] == [1, 1, 1, 1 + 4 * workers]
    assert control.version == 5 * workers


@pytest.mark.parametrize("name", NAMES)
def test_a_nonfinite_gradient_is_never_applied(name: str):
    algorithm = make(name)
    workers = min(algorithm.max_workers or 2, 2)
    bad = torch.tensor([1.0, float("nan"), 2.0], dtype=torch.float64)
    team = Team(algorithm, Point(torch.ones(3, dtype=torch.float64)), workers, lambda at, rank: [bad.clone()], 0.1)
    team.round() if algorithm.barriers_per_round else team.turns(range(workers))
    assert team.x[0].tolist() == [1.0, 1.0, 1.0]
    stats = [team.world.control.stats(rank) for rank in range(workers)]
    assert team.world.control.version == 0
    assert [one["refused"] for one in stats] == [1] * workers
    assert [one["nonfinite"] for one in stats] == [1] * workers


@pytest.mark.parametrize("name", NAMES)
def test_the_file_states_the_equation_and_its_source(name: str):
    algorithm = REGISTRY[name]
    text = sys.modules[algorithm.__module__].__doc__ or ""
    assert "<-" in text, "the module docstring has no update equation"
    assert "Source:" in text
    assert inspect.getdoc(algorithm)
    assert algorithm.summary
    assert algorithm.name == name


@pytest.mark.parametrize("name", NAMES)
def test_buffers_and_options_are_declared(name: str):
    algorithm = REGISTRY[name]
    assert algorithm.buffers["x"] == SHARED
    assert algorithm.buffers.get("snapshot") == SNAPSHOT or has_replicas(algorithm.buffers)
    for option in algorithm.options().values():
        assert option.metadata["help"], f"{option.name} has no help text"


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_can_be_begun_again_at_any_time(name: str):
    """All state is in the buffers: restarting all generators between two rounds changes nothing."""
    algorithm = make(name)
    gradients = noisy_gradients(12)

    def run(restart: bool) -> list[torch.Tensor]:
        calls = iter(gradients)
        team = Team(algorithm, Net(), 1, lambda at, rank: next(calls), 0.05)
        for step in range(10):
            if restart and step == 5:
                team.steps[0] = algorithm.worker(team.views[0])
                next(team.steps[0])
            team.round() if algorithm.barriers_per_round else team.turn(0)
        return team.x

    for plain, restarted in zip(run(False), run(True), strict=True):
        assert torch.equal(plain, restarted)
