"""The steps that workers take on their own: SGD with momentum, AdamW, RMSprop or Lion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from hogwild.algorithms.base import WORKER, Algorithm, Buffer, beta1_option, beta2_option, momentum_option, option
from hogwild.rules import AdamW, HeavyBall, Lion, Momentum, RMSprop

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


@dataclass(frozen=True)
class LocalSteps(LocalRule, Algorithm):
    """An algorithm of workers with replicas, which keeps the buffers of their rule beside its own."""

    def keeps(self) -> Mapping[str, Buffer]:
        return {**self.buffers, **self.step_buffers()}


def local_momentum_option(default: float, kept_over: str = "averages") -> float:
    return momentum_option(default, f"momentum factor m of each worker, kept over {kept_over}")
