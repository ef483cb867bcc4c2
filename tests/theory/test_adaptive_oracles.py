"""Adaptive rules under delay, to twelve digits: f(x) = x^2 / 2 from x = 1, four workers in turn, in the simulator.

The numbers were computed apart from this code, from the published equations. Column t is x after push t.
"""

from __future__ import annotations

import pytest
from quadratic import simulate

PUSHES = (4, 5, 10, 50, 100)
ADAM = {"algorithm": "adamw", "lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
SHARED = {**ADAM, "momentum_kind": "heavy-ball"}
A3C = {"algorithm": "rmsprop", "lr": 0.01, "beta2": 0.99, "eps": 0.1}
ORACLES: dict[str, tuple[dict[str, object], str]] = {
    "one worker": (
        {**SHARED, "workers": 1},
        "0.603939062682 0.507963661927 0.076249160620 -0.004818219427 0.002936675003",
    ),
    "v q shared": (SHARED, "0.600000004000 0.500529853389 0.029500653445 0.231034454348 -0.102364156018"),
    "v worker": (
        {**ADAM, "momentum_kind": "shifted"},
        "0.600000004000 0.503406362973 0.049866365335 0.186093759921 -0.328028482539",
    ),
    "v q worker": (
        {**ADAM, "momentum_kind": "shifted", "q_scope": "worker"},
        "0.600000004000 0.500412232712 0.021841249749 0.220481628095 -0.338648282321",
    ),
    "decoupled weight decay": (
        {**SHARED, "weight_decay": 0.1},
        "0.566556113940 0.461483857764 -0.018994136073 0.145330110054 -0.122473385913",
    ),
    "dana-slim": (ADAM, "0.600000004000 0.505188533453 0.088873732380 0.111542731412 -0.085352374564"),
    "dana": (
        {**ADAM, "momentum_kind": "dana"},
        "0.600000004000 0.506728609626 0.101262248783 0.133566711640 -0.021724662317",
    ),
    "gap on the step": (
        {**SHARED, "penalty": "gap"},
        "0.788695082739 0.753859847772 0.588872195343 -0.128418302232 -0.026696627516",
    ),
    "rmsprop of a3c": (A3C, "0.886419160332 0.861244496844 0.753707359954 0.310246530763 0.100754221502"),
    "rmsprop, q worker": (
        {**A3C, "q_scope": "worker"},
        "0.879395462169 0.851317033805 0.724721607520 0.218854571930 0.050132065056",
    ),
    "rmsprop, eps outside": (
        {**A3C, "eps_inside": False},
        "0.838298635801 0.808533818974 0.691583514699 0.261621144678 0.073689885126",
    ),
    "adagrad": (
        {"algorithm": "adagrad", "lr": 0.1, "eps": 1e-10},
        "0.721554294983 0.680517827252 0.536684979719 0.136165796748 0.028211382768",
    ),
    "lion": (
        {"algorithm": "lion", "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1},
        "0.956065956011 0.945109890055 0.890493682307 0.463261910167 -0.047286381749",
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_x_after_some_pushes(name: str):
    options, digits = ORACLES[name]
    trace = simulate(**{"workers": 4, "curvatures": [1.0], "pushes": PUSHES[-1], **options})
    found = [float(trace.x[t, 0]) for t in PUSHES]
    assert found == pytest.approx([float(value) for value in digits.split()], abs=6e-13)


def test_the_look_ahead_of_dana():
    trace = simulate("adamw", 4, [1.0], 10, lr=0.1, momentum_kind="dana")
    assert float(trace.snapshot[9, 0]) == pytest.approx(-0.161669222256, abs=6e-13)
