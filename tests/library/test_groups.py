"""Parameter groups: learning rates and weight decays of single parameters, in the library and by --no-decay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import hogwild
from hogwild.config import Config
from hogwild.drivers.job.groups import groups_of
from hogwild.errors import UsageError

LR, WD, UPDATES = 0.1, 0.2, 12
CURVATURE = {"slow.weight": 1.0, "slow.bias": 0.5, "fast": 0.25, "still": 2.0}


class Parts(nn.Module):
    """Parameters of which each has a curvature of its own: f = sum a x^2 / 2."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = nn.Module()
        self.slow.weight = nn.Parameter(torch.ones(3, 5, dtype=torch.float64))
        self.slow.bias = nn.Parameter(torch.full((7,), -2.0, dtype=torch.float64))
        self.fast = nn.Parameter(torch.full((2, 2), 3.0, dtype=torch.float64))
        self.still = nn.Parameter(torch.full((3,), 0.5, dtype=torch.float64))

    def forward(self, _inputs: Tensor) -> Tensor:
        return sum((CURVATURE[name] * p**2).sum() / 2 for name, p in self.named_parameters())


def loss(output: Tensor, _target: Tensor) -> Tensor:
    return output


def own_groups(name: str, parameter: nn.Parameter) -> dict[str, float]:
    if name == "still":
        return {"lr": 0}
    if name == "fast":
        return {"lr": 2.0, "weight_decay": 0.05}
    return {"weight_decay": 0.0} if parameter.dim() < 2 else {}


def fit(out: Path, **values: object) -> hogwild.Result:
    data = (torch.zeros(64, 1), torch.zeros(64))
    return hogwild.fit(
        Parts, (data, None), loss, groups=own_groups, dtype="float64", batch_size=4, updates=UPDATES, out=str(out),
        **{"lr": LR, "weight_decay": WD, "clock": "round-robin", "workers": 1, **values},
    )  # fmt: skip


def test_every_parameter_has_the_lr_and_the_weight_decay_of_its_group(tmp_path: Path):
    trained = dict(fit(tmp_path).model.named_parameters())
    own = {"slow.weight": (1.0, WD), "slow.bias": (1.0, 0.0), "fast": (2.0, 0.05)}
    for name, (factor, decay) in own.items():
        start = dict(Parts().named_parameters())[name].detach()
        expected = start * (1 - factor * LR * (CURVATURE[name] + decay)) ** UPDATES
        torch.testing.assert_close(trained[name].detach(), expected, rtol=1e-12, atol=0)
    assert bool((trained["still"] == 0.5).all())
    assert not trained["still"].requires_grad


def test_a_group_has_weight_decay_where_the_run_has_none(tmp_path: Path):
    trained = dict(fit(tmp_path, weight_decay=0.0).model.named_parameters())
    for name, factor, decay in (("fast", 2.0, 0.05), ("slow.weight", 1.0, 0.0)):
        start = dict(Parts().named_parameters())[name].detach()
        expected = start * (1 - factor * LR * (CURVATURE[name] + decay)) ** UPDATES
        torch.testing.assert_close(trained[name].detach(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["dana-slim", "dana"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_group_of_an_adaptive_rule_steps_as_a_run_with_that_lr(tmp_path: Path, kind: str, workers: int):
    """Parameters are independent here: `fast` under twice the lr is `fast` of a run with twice the lr."""
    common = {"algorithm": "adamw", "momentum_kind": kind, "weight_decay": 0.0, "workers": workers}
    grouped = fit(tmp_path / "a", **common, lr=0.01).model.fast
    data = (torch.zeros(64, 1), torch.zeros(64))
    alone = hogwild.fit(
        Parts, (data, None), loss, dtype="float64", batch_size=4, updates=UPDATES, out=str(tmp_path / "b"), lr=0.02,
        clock="round-robin", **{**common, "weight_decay": 0.05}, no_decay="none",
    ).model.fast  # fmt: skip
    torch.testing.assert_close(grouped, alone, rtol=1e-12, atol=0)


def test_worker_processes_have_the_groups_too(tmp_path: Path):
    trained = dict(fit(tmp_path, clock=None, workers=2).model.named_parameters())
    assert bool((trained["still"] == 0.5).all())
    assert bool((trained["fast"] < 3.0).all())


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(5, 3), nn.LayerNorm(3)


@pytest.mark.parametrize(
    ("algorithm", "no_decay", "expected"),
    [
        ("adamw", None, [1.0, 0.0, 0.0, 0.0]),
        ("adamw", "bias", [1.0, 0.0, 1.0, 0.0]),
        ("asgd", "norm", [1.0, 1.0, 0.0, 1.0]),
        ("adamw", "none", None),
        ("asgd", None, None),
    ],
)
def test_kinds_of_parameters_without_weight_decay(algorithm: str, no_decay: str | None, expected: list[float] | None):
    """linear.weight, linear.bias, norm.weight, norm.bias"""
    groups = groups_of(Config(algorithm=algorithm, no_decay=no_decay, weight_decay=0.3), Layers(), None)
    if expected is None:
        assert groups.factors == ()
        assert groups.weight_decay(0.3) == 0.3
    else:
        assert groups.factors == tuple((1.0, decay) for decay in expected)
        assert groups.weight_decay(0.3) == 0.3


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (None, r"groups\('linear.weight', ...\) returned NoneType"),
        ({"betas": 0.9}, "has the key 'betas'"),
        ({"lr": -1.0}, "gave -1.0 for lr, which must be a number >= 0"),
        ({"weight_decay": "0.1"}, "gave '0.1' for weight_decay"),
    ],
)
def test_a_group_that_cannot_be_read(group: object, message: str):
    with pytest.raises(UsageError, match=message):
        groups_of(Config(), Layers(), lambda name, parameter: group)


@pytest.mark.parametrize("algorithm", ["gap-aware", "dana-ga", "ormo", "smega2"])
def test_rules_with_one_lr_for_all_say_so(tmp_path: Path, algorithm: str):
    with pytest.raises(UsageError, match="groups give parameters an lr of their own, and the rule cannot"):
        fit(tmp_path, algorithm=algorithm)


def test_algorithms_that_take_no_groups_say_so(tmp_path: Path):
    with pytest.raises(UsageError, match="algorithm admm has one lr and one weight decay for all: leave groups out"):
        fit(tmp_path, algorithm="admm")
    with pytest.raises(UsageError, match="algorithm qg-dsgdm has one weight decay for all parameters"):
        Config(algorithm="qg-dsgdm", no_decay="bias")
    with pytest.raises(UsageError, match="no_decay: 'biases' is not allowed; it must be none, bias, norm or bias,norm"):
        Config(no_decay="biases")
