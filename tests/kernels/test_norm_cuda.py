"""The CUDA kernels of Full Normalization against the CPU's: same functors, other orders of summation. Needs a GPU."""

from __future__ import annotations

import copy

import pytest
import torch

from hogwild.kernels import build_info
from hogwild.nn import FullNorm1d, FullNorm2d, FullNorm3d

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]
CASES = [(FullNorm1d, (33, 70)), (FullNorm1d, (9, 7, 5)), (FullNorm2d, (64, 37, 28, 28)), (FullNorm3d, (3, 5, 2, 3, 4))]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_is_near_the_cpu(kind, shape, dtype, channels_last):
    torch.manual_seed(0)
    cpu = kind(shape[1], alpha=0.3)
    gpu = copy.deepcopy(cpu).cuda()
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype is torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    for _ in range(3):
        x, g = (torch.randn(shape) + 1).to(dtype), torch.randn(shape).to(dtype)
        if channels_last:
            x = x.movedim(1, -1).contiguous().movedim(-1, 1)
        results = []
        for layer in (cpu, gpu):
            here = x.to(layer.weight.device).requires_grad_()
            y = layer(here)
            gradients = torch.autograd.grad(y, [here, layer.weight, layer.bias], g.to(here.device))
            results.append([y.detach(), *gradients, *layer.buffers()])
        for want, got in zip(*results, strict=True):
            torch.testing.assert_close(got.cpu(), want, **tolerance)


def test_float64_is_for_the_cpu():
    with pytest.raises(ValueError, match="float64 statistics are for the CPU"):
        FullNorm1d(4, device="cuda", dtype=torch.float64)(torch.randn(3, 4, device="cuda", dtype=torch.float64))
