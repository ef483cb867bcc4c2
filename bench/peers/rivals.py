"""The other packages: torch.distributed's PostLocalSGDOptimizer over gloo, and decent-dp if it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager

from bench.peers.contestant import Contestant, flat

DECENT = "decent-dp"
HAS_DECENT = importlib.util.find_spec("decent_dp") is not None
CONTROLS = ("step alone, torch.optim.SGD", "backward that hands over gradients", "gloo all_reduce alone")


def connect(rank: int, processes: int, meeting: Path) -> None:
    """A gloo group over the loopback interface; `meeting`: a file that does not exist yet."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)


class TorchSGD(Contestant):
    """torch.optim.SGD without any averaging."""

    def __init__(self, module: nn.Module, _processes: int) -> None:
        self.module = module
        self.parameters = list(module.parameters())
        self.optimizer: Any = torch.optim.SGD(self.parameters, lr=0.0)

    def step(self, g: Sequence[Tensor], lr: float) -> None:
        for parameter, gradient in zip(self.parameters, g, strict=True):
            parameter.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()

    def models(self) -> list[Tensor]:
        return [flat(self.module)]


class PostLocalSGD(TorchSGD):
    """torch's PostLocalSGDOptimizer. Its averager flattens all parameters and reduces them over all processes."""

    def __init__(self, module: nn.Module, processes: int) -> None:
        super().__init__(module, processes)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="When period is 1")  # the same period for all contestants
            from torch.distributed.optim import PostLocalSGDOptimizer  # it imports the compiler, for a second

            self.optimizer = PostLocalSGDOptimizer(self.optimizer, PeriodicModelAverager(period=1))


class AllReduce(Contestant):
    """Only gloo's all-reduce of one flat buffer: the lower bound of every average over all processes with gloo."""

    def __init__(self, module: nn.Module, _processes: int) -> None:
        self.buffer = torch.zeros_like(flat(module))

    def step(self, _g: Sequence[Tensor], _lr: float) -> None:
        dist.all_reduce(self.buffer)

    def models(self) -> list[Tensor]:
        return [self.buffer]


class Given(torch.autograd.Function):
    """A loss with given gradients: backward returns them and computes nothing."""

    @staticmethod
    def forward(ctx: Any, g: Sequence[Tensor], *_parameters: Tensor) -> Tensor:
        ctx.g = g
        return torch.zeros(())

    @staticmethod
    def backward(ctx: Any, *_of_loss: Tensor) -> Any:
        return None, *ctx.g


class Handing(nn.Module):
    """A module with given gradients for its parameters."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, g: Sequence[Tensor]) -> Tensor:
        loss: Tensor = Given.apply(g, *self.inner.parameters())  # type: ignore[no-untyped-call]
        return loss


class Backward(Contestant):
    """Only the cost of passing the gradients through autograd, as decent-dp needs it."""

    def __init__(self, module: nn.Module, _processes: int) -> None:
        self.module = Handing(module)

    def step(self, g: Sequence[Tensor], _lr: float) -> None:
        torch.autograd.backward(self.module(g))
        self.module.zero_grad()

    def models(self) -> list[Tensor]:
        return [flat(self.module)]


class DecentDP(Contestant):
    """decent-dp: hooks of backward run an SGD step and the averaging over one edge of the topology."""

    def __init__(self, module: nn.Module, processes: int, topology: str) -> None:
        importlib.import_module("loguru").logger.disable("decent_dp")
        self.optimizers: list[torch.optim.Optimizer] = []
        self.module = Handing(module)
        self.wrapped = importlib.import_module("decent_dp.ddp").DecentralizedDataParallel(
            self.module, self._make_optimizer, topology=topology, _local_world_size=processes
        )

    def step(self, g: Sequence[Tensor], lr: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
        torch.autograd.backward(self.wrapped(g))

    def models(self) -> list[Tensor]:
        return [flat(self.module)]

    def _make_optimizer(self, parameters: Sequence[tuple[str, Tensor]]) -> torch.optim.Optimizer:
        self.optimizers.append(torch.optim.SGD([parameter for _, parameter in parameters], lr=0.0))
        return self.optimizers[-1]


RIVALS: dict[str, Callable[[nn.Module, int], Contestant]] = {
    "torch PostLocalSGDOptimizer, mean of all": PostLocalSGD,
    "decent-dp, ring": lambda module, processes: DecentDP(module, processes, "ring"),
    "decent-dp, one-peer-exp": lambda module, processes: DecentDP(module, processes, "one-peer-exp"),
    "decent-dp, complete": lambda module, processes: DecentDP(module, processes, "complete"),
    **dict(zip(CONTROLS, (TorchSGD, Backward, AllReduce), strict=True)),
}


def available() -> list[str]:
    return [name for name in RIVALS if HAS_DECENT or not name.startswith(DECENT)]
