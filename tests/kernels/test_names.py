"""Values reach the compiled module by name: a missing, an unknown and a doubled one is refused by its name."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import STAGES

from hogwild import _C
from hogwild.kernels import Exchange, Push, norm_forward
from hogwild.kernels.rule import Rule
from hogwild.rules import Access, Compensation, Gap, Guard, buffers_of, needs_snapshot

MEMORY = torch.zeros(64, dtype=torch.float64)
AT = MEMORY.data_ptr()
PLACE = {"device": -1, "stream": 0}
SPAN = {"dtype": "float64", "start": 0, "stop": 0, **PLACE}
NORM = {"master": "float64", "input": "float64", "outer": 1, "channels": 1, "inner": 1, "alpha": 1.0, "decay": 0.0}
EXCHANGE = {"kind": "admm", "access": "racing", "share": 0.5, "stripes": 0, "n_stripes": 0, **SPAN}
CALLS: dict[str, dict[str, object]] = {  # complete ones, with nothing that may be left out
    "exchange": {**EXCHANGE, **dict.fromkeys(("x", "center", "memory", "g"), AT)},
    "norm_forward": {**NORM, **PLACE, "eps": 1e-5, **dict.fromkeys(("x", "y", "saved", "mu", "nu", "count"), AT)},
    "norm_backward": {
        **NORM,
        **PLACE,
        **dict.fromkeys(("g", "x", "saved", "weight_grad", "bias_grad", "mu_grad", "nu_grad", "count"), AT),
    },
    "weighted_sum": {**SPAN, "out": AT, "inputs": [AT], "weights": [1.0]},
    "copy": {**SPAN, "out": AT, "source": AT},
    "count_nonfinite": {"dtype": "float64", "g": AT, "numel": 0, **PLACE},
    "pair_average": {**SPAN, "a": AT, "b": AT, "weight": 0.5, "locks_a": 0, "locks_b": 0, "n_locks": 1, "waits": False},
    "diffuse": {**SPAN, "out": AT, "own": AT, "neighbours": [], "weights": []},
}


@pytest.mark.parametrize("kernel", CALLS)
def test_a_name_that_is_missing_or_unknown(kernel):
    call, complete = getattr(_C, kernel), CALLS[kernel]
    call(complete)
    for name in complete:
        with pytest.raises(TypeError, match=rf"needs {name}$"):
            call({other: complete[other] for other in complete if other != name})
        with pytest.raises(TypeError, match=rf"needs {name}$"):
            call({**complete, name: None})
    with pytest.raises(TypeError, match=r"has no wieght bais; it has .* device stream"):
        call({**complete, "wieght": AT, "bais": AT})


@pytest.mark.parametrize(("kind", "extra"), [("elastic", "memory"), ("deliver", "g"), ("blend", "memory")])
def test_an_exchange_takes_the_buffers_of_its_kind_alone(kind, extra):
    idle = {"memory": 0, "g": 0, **({"memory": AT} if kind == "deliver" else {}), extra: AT}
    with pytest.raises(TypeError, match=f"no use for {extra}$"):
        _C.exchange({**CALLS["exchange"], "kind": kind, **idle})


SCALARS = {"lr": 0.1, "pushes": 0, "lr_max": 0.1}


@pytest.mark.parametrize("name", SCALARS)
def test_scalars_of_a_push(name):
    x = torch.ones(33)
    push = Push(x=x, segments=[(0, 33)])
    with pytest.raises(TypeError, match=rf"needs {name}$"):
        push([torch.ones(33)], **{other: SCALARS[other] for other in SCALARS if other != name})
    with pytest.raises(TypeError, match=rf"needs {name}$"):
        push([torch.ones(33)], **{**SCALARS, name: None})
    with pytest.raises(TypeError, match=f"'{name}'"):
        push([torch.ones(33)], **SCALARS, **{name: 0.2})
    with pytest.raises(TypeError, match="has no learning_rate; it has lr pushes lr_max"):
        push([torch.ones(33)], **SCALARS, learning_rate=0.2)
    assert bool((x == 1).all())


RULES = [
    *((None, stage, None) for stage in STAGES),
    (Gap(), None, None),
    (Gap(level="layer"), None, None),
    (None, None, Compensation(adaptive=True)),
]


@pytest.mark.parametrize(("penalty", "momentum", "compensation"), RULES)
def test_buffers_of_a_plan(penalty, momentum, compensation):
    """The compiled module checks by itself that no buffer in use is a null pointer."""
    rule = Rule(penalty, momentum, compensation, Access.RACING, Guard.PUSH).native(torch.float64, cooperative=False)
    buffers = dict.fromkeys(("x", "snapshot", *buffers_of(momentum, penalty, compensation)), AT)
    if penalty is not None and penalty.rows is not None:
        buffers["gap_state"] = AT
    needed = set(buffers) if needs_snapshot(momentum, penalty, compensation) else set(buffers) - {"snapshot"}
    _C.CpuPush(rule, buffers, [(0, 1)], [], (0, 0))
    for name in needed:
        with pytest.raises(TypeError, match=rf"buffer {name}$"):
            _C.CpuPush(rule, {other: AT for other in buffers if other != name}, [(0, 1)], [], (0, 0))
    with pytest.raises(TypeError, match=r"has no w; it has x snapshot .* gap_state"):
        _C.CpuPush(rule, {**buffers, "w": AT}, [(0, 1)], [], (0, 0))


def test_a_value_given_twice():
    x, channel = torch.ones(33), torch.ones(1)
    with pytest.raises(TypeError, match="'center'"):
        Exchange().elastic(x, x, 0.1, center=x)
    with pytest.raises(TypeError, match="'mu'"):
        norm_forward(x[:, None], None, None, channel, channel, channel, alpha=1.0, mu=channel)
    buffers = {"x": torch.ones(33), "v": torch.ones(33)}
    with pytest.raises(TypeError, match="'v'"):
        Push(v=torch.ones(33), segments=[(0, 33)], **buffers)
