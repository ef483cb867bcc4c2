"""What the elastic algorithms have in common: the moving rate, the period, and which model is the result."""

from __future__ import annotations

from hogwild.algorithms.base import MODEL, SHARED, Buffer, Scope, View, option

RATE = (lambda value: 0 <= value <= 1, "a number, 0 <= number <= 1")
AT_LEAST_ONE = (lambda value: value >= 1, "an integer >= 1")
CENTER, MEAN, AVERAGE = "center", "mean", "average"
RESULTS = {CENTER: "x", MEAN: "replica", AVERAGE: "average"}
MODELS = {"x": SHARED, "replica": MODEL}


def alpha_option() -> float:
    return option(0.0, "moving rate of an exchange; 0: beta / workers", check=RATE)


def beta_option() -> float:
    return option(0.9, "moving rate of the center, all workers together", check=RATE)


def beta_per_option() -> str:
    return option("exchange", "what beta is for: alpha = beta / (p period) if step", choices=("exchange", "step"))


def period_option(default: int, help: str = "own steps between two exchanges") -> int:
    return option(default, help, check=AT_LEAST_ONE)


def evaluate_option() -> str:
    return option(
        CENTER,
        "which model is the result: center, mean of the replicas, or moving average of the center",
        choices=(CENTER, MEAN, AVERAGE),
    )


def average_rate_option(default: float = 0.001) -> float:
    return option(default, "rate of the center's moving average; 0: mean of all its values", check=RATE)


def moving_rate(alpha: float, beta: float, beta_per: str, period: int, workers: int) -> float:
    """alpha, or beta / p per exchange (the authors' code), or beta / (p period)."""
    return alpha or beta / (workers * (period if beta_per == "step" else 1))


def with_average(buffers: dict[str, Buffer], evaluate: str) -> dict[str, Buffer]:
    return buffers | ({"average": Buffer(Scope.SHARED, starts="x")} if evaluate == AVERAGE else {})


def average(w: View, rate: float, period: int) -> None:
    """average <- (1 - a) average + a x;  a the rate, or 1 / (t + 1) with t updates of x. One worker at a time."""
    with w.exclusive():
        a = rate or 1 / (w.exchanges(period) + 1)
        w.combine("average", {"average": 1 - a, "x": a})
