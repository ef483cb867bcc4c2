"""What the elastic algorithms have in common: the moving rate, the period, and which model is the result."""

from __future__ import annotations

from hogwild.algorithms.base import MODEL, SHARED, Buffer, Scope, View, option

RATE = (lambda value: 0 <= value <= 1, "a number, 0 <= number <= 1")
POSITIVE = (lambda value: value > 0, "a number > 0")
AT_LEAST_ONE = (lambda value: value >= 1, "an integer >= 1")
CENTER, MEAN, AVERAGE = "center", "mean", "average"
RESULTS = {CENTER: "x", MEAN: "replica", AVERAGE: "average"}
MODELS = {"x": SHARED, "replica": MODEL}
OWN_X = Buffer(Scope.WORKER, starts="x")
COUNT = Buffer(Scope.SHARED, size=1, dtype="float64")
AVERAGES = {"average": Buffer(Scope.SHARED, starts="x"), "averaged": COUNT}  # the center's, and of how many it is


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
    return buffers | (AVERAGES if evaluate == AVERAGE else {})


def average(w: View, rate: float) -> None:
    """average <- (1 - a) average + a x;  a is the rate, or 1 / (t + 1) at the t-th call of all workers together.

    Without a rate, average is the mean of t + 1 centers: the first one and that at each call. The calls are counted in
    `averaged`, for the workers' steps do not tell how many there were. One worker at a time.
    """
    with w.exclusive():
        averaged = w.buffer("averaged")
        averaged += 1
        a = rate or 1 / (float(averaged) + 1)
        w.combine("average", {"average": 1 - a, "x": a})
