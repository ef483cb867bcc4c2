"""What the elastic algorithms have in common: the moving rate, the period, the workers' own steps, and which model is
the result.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from hogwild.algorithms.base import (
    MODEL,
    REPLICA,
    SHARED,
    WORKER,
    Buffer,
    Scope,
    View,
    beta1_option,
    beta2_option,
    option,
)
from hogwild.rules import AdamW, HeavyBall, Lion, Momentum, RMSprop

RATE = (lambda value: 0 <= value <= 1, "a number, 0 <= number <= 1")
POSITIVE = (lambda value: value > 0, "a number > 0")
AT_LEAST_ONE = (lambda value: value >= 1, "an integer >= 1")
CENTER, MEAN, AVERAGE = "center", "mean", "average"
RESULTS = {CENTER: "x", MEAN: "replica", AVERAGE: "average"}
MODELS = {"x": SHARED, "replica": MODEL}
COUNT = Buffer(Scope.SHARED, size=1, dtype="float64")
SENT = {"sent0": REPLICA, "sent1": REPLICA}
"""What workers send in turn to barriers that they do not wait for at once: one is read while the other is written."""


def slot_of_last(w: View) -> str:
    """Where the workers of the last barrier have put what they sent."""
    return f"sent{w.round % 2}"


def slot_of_next(w: View) -> str:
    """Where what is sent at the next barrier goes: what others still read is in the other one."""
    return f"sent{(w.round + 1) % 2 if w.present else 0}"


AVERAGES = {"average": Buffer(Scope.SHARED, starts="x"), "averaged": COUNT}  # the center's, and of how many it is


AGES = {"center": COUNT, "adopted": Buffer(Scope.WORKER, size=1, dtype="float64")}
"""A count of the center, and its value when the worker last took its model from there: see `age`."""


def age(w: View) -> int:
    """What the center has counted since the worker adopted it. Call it within `exclusive`, as the next two."""
    return int(w.buffer("center") - w.buffer("adopted"))


def count(w: View, amount: int) -> None:
    """The center's count <- count + amount."""
    center = w.buffer("center")
    center += amount


def adopt_center(w: View) -> None:
    """replica, base <- x, at age 0."""
    w.combine("replica", {"x": 1})
    w.combine("base", {"x": 1})
    w.buffer("adopted").copy_(w.buffer("center"))


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


LOCAL_RULES = {"sgd": (0.0, 0.0), "adamw": (1e-3, 0.999), "rmsprop": (1e-3, 0.99), "lion": (1e-4, 0.99)}
"""Rule of the workers' own steps -> its default lr (0: the data set's) and beta2."""


@dataclass(frozen=True)
class LocalRule:
    """The workers' own steps: SGD with the algorithm's momentum, or an adaptive rule with moments of the worker's own.

    These are kept over exchanges, as momentum is. ValueError for options of another rule.
    """

    local_rule: str = option("sgd", "the rule of a worker's own steps", choices=tuple(LOCAL_RULES))
    beta1: float = beta1_option()
    beta2: float = beta2_option(0.0, "decay b2 of the running square (lion: of v); 0: 0.999 in adamw, else 0.99")

    def __post_init__(self) -> None:
        own = ("beta1", "beta2") if self.local_rule == "sgd" else ("momentum",)
        for field in fields(self):
            if field.name in own and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} is no option of local_rule {self.local_rule}: leave it out")

    @property
    def lr(self) -> float:
        return LOCAL_RULES[self.local_rule][0]

    @property
    def no_decay(self) -> str:
        return "bias,norm" if self.local_rule == "adamw" else "none"

    def step_rule(self) -> Momentum | None:
        beta1, beta2 = self.beta1, self.beta2 or LOCAL_RULES[self.local_rule][1]
        if self.local_rule == "adamw":
            return AdamW(beta1=beta1, beta2=beta2)
        if self.local_rule == "rmsprop":
            return RMSprop(beta2=beta2, eps=1e-8, eps_inside=False)
        if self.local_rule == "lion":
            return Lion(beta1=beta1, beta2=beta2)
        momentum = getattr(self, "momentum", 0.0)
        return HeavyBall(momentum) if momentum else None

    def step_buffers(self) -> dict[str, Buffer]:
        """The buffers of that rule, the worker's own."""
        rule = self.step_rule()
        return {} if rule is None else dict.fromkeys(rule.buffers, WORKER)
