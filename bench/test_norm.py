"""Full Normalization, forward and backward, against torch's BatchNorm2d."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench.scale import SCALE
from bench.timing import interleave
from hogwild.nn import FullNorm2d

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 1e-2}
THREADS = {"FullNorm2d": 1, "BatchNorm2d": 1, "BatchNorm2d, 2 threads": 2}


def training(layer: nn.Module, x: Tensor, g: Tensor, threads: int) -> Callable[[], float]:
    """A contestant: seconds of one forward and one backward pass."""

    def turn() -> float:
        x.grad = None
        layer.zero_grad()
        torch.set_num_threads(threads)
        try:
            began = time.perf_counter()
            layer(x).backward(g)
            return time.perf_counter() - began
        finally:
            torch.set_num_threads(1)

    return turn


def gradients(layer: nn.Module, x: Tensor, g: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(layer(x), [x, *layer.parameters()], g))


@pytest.mark.benchmark(group="norm")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "bfloat16"])
def test_against_batch_norm(benchmark: BenchmarkFixture, format: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    shape = SCALE.norm_shape
    x, g = (torch.randn(shape).to(dtype).contiguous(memory_format=FORMATS[format]) for _ in range(2))
    x.requires_grad_()
    exact = nn.BatchNorm2d(shape[1], dtype=torch.float64), x.detach().double().requires_grad_(), g.double()
    for got, want in zip(gradients(FullNorm2d(shape[1], alpha=1.0), x, g), gradients(*exact), strict=True):
        torch.testing.assert_close(got, want.to(got.dtype), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    layers = {name: (FullNorm2d if name == "FullNorm2d" else nn.BatchNorm2d)(shape[1]) for name in THREADS}
    turns = {name: training(layer, x, g, THREADS[name]) for name, layer in layers.items()}
    figures = interleave(benchmark, turns, SCALE.norm_rounds)
    benchmark.extra_info["norm"] = f"{' x '.join(map(str, shape))}, {str(dtype).removeprefix('torch.')}, {format}"
    benchmark.extra_info["seconds"] = figures
