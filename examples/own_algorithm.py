"""An algorithm of your own, simulated and compared:  python own_algorithm.py      (the figure needs matplotlib)

    worker:  snapshot <- x;  g = grad F(snapshot);  tau = its delay in updates;  v <- m v + rho^tau g;  x <- x - lr v

Old gradients fade out exponentially, as Chan and Lane (2014) propose. Those older than `patience` are dropped.
On the command line: hogwild train --algorithm own_algorithm:Fading --rho 0.8 --workers 4
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

import hogwild
from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class Fading(Algorithm):
    name: ClassVar[str] = "fading"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    rho: float = option(0.9, "what a gradient is multiplied by for each update of delay")
    momentum: float = option(0.5, "momentum factor m")
    patience: int = option(100, "the largest delay of a gradient that is used, in updates")

    def worker(self, w: View) -> Steps:
        def lr(tau: int) -> float | None:
            return w.lr if tau <= self.patience else None  # None: the gradient is dropped

        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, scale=lambda tau: self.rho**tau, momentum=HeavyBall(self.momentum))


def model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


if __name__ == "__main__":
    print(hogwild.simulate(model, "digits", algorithm=Fading(rho=0.8), workers=16, epochs=3, lr=0.5))
    compared: dict[str, str | type[Algorithm]] = {"asgd": "asgd", "fading": Fading}
    rows = hogwild.compare(model, "digits", algorithms=compared, workers=[1, 8, 32], seeds=2, epochs=3, lr=0.5)
    loss = {(row["algorithm"], row["workers"], row["seed"]): row["test_loss"] for row in rows if row["last"]}
    for key in sorted(loss):
        print(*key, f"{loss[key]:.3f}")
    if importlib.util.find_spec("matplotlib"):
        from matplotlib.figure import Figure

        axes = (figure := Figure()).subplots()
        for name in compared:
            points = [(workers, loss[name, workers, seed]) for one, workers, seed in sorted(loss) if one == name]
            axes.plot(*zip(*points, strict=True), "o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="test loss")
        axes.legend()
        figure.savefig("own_algorithm.png")
