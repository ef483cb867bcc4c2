"""Every exchange by name: its buffers, the kernel's call and the oracle's; shared by the tests beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hogwild import reference
from hogwild.kernels import Exchange

RATES: Mapping[str, Mapping[str, float]] = {
    "elastic": {"alpha": 0.3},
    "deliver": {},
    "admm": {"lr": 0.1, "rho": 2.5, "workers": 3},
    "send": {"share": 0.4},
    "drain": {},
    "blend": {"a": 0.1},
}
BUFFERS = {
    "elastic": ("x", "center"),
    "deliver": ("x", "base", "center"),
    "admm": ("x", "multiplier", "center", "g"),
    "send": ("box", "x"),
    "drain": ("x", "box"),
    "blend": ("average", "x"),
}
READ_ONLY = {"admm": {"g"}, "blend": {"x"}}
CONSERVED: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {  # by one worker's exchange, up to rounding
    "elastic": lambda b: b["x"] + b["center"],
    "deliver": lambda b: b["center"] + b["x"] - b["base"],
    "admm": lambda b: RATES["admm"]["workers"] * b["center"] - (b["x"] - b["multiplier"]),
    "send": lambda b: b["x"] + b["box"],
    "drain": lambda b: b["x"] + b["box"],
}


@dataclass
class ExchangeCase:
    """Random buffers [n] of one exchange; `run` performs it, `oracle` returns the expected buffers."""

    kind: str
    n: int
    dtype: torch.dtype = torch.float64
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.buffers: dict[str, Tensor] = {
            name: torch.randn(self.n, generator=generator, dtype=torch.float64).to(self.dtype).to(self.device)
            for name in BUFFERS[self.kind]
        }

    def run(self, exchange: Exchange | None = None, **span: int | None) -> int:
        call = getattr(exchange or Exchange(), self.kind)
        return int(call(*self.buffers.values(), **RATES[self.kind], **span))

    def numpy(self) -> dict[str, reference.Array]:
        return {name: buffer.cpu().double().numpy().copy() for name, buffer in self.buffers.items()}

    def oracle(self, start: int | None = None, stop: int | None = None) -> dict[str, reference.Array]:
        """The expected buffers after `run` on the range."""
        arrays = self.numpy()
        inside = {name: array[start:stop] for name, array in arrays.items()}
        getattr(reference, self.kind)(**inside, **RATES[self.kind])
        return arrays
