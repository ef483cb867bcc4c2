"""Parameter groups and adaptive rules with a group on CUDA: the CPU's results to the bit. Needs a GPU."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import SIZES, Case, same_statistics

from hogwild.kernels import build_info
from hogwild.rules import Access, AdamW, AdamWDana, Dana, Gap, HeavyBall, Lion, RMSprop

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]

GROUPS = ((0.3, 1.7), (1.0, 1.0), (0.0, 0.0), (2.5, 0.1), (1.0, 0.0), (0.7, 3.0))
RULES = [
    {"momentum": HeavyBall(0.9)},
    {"momentum": HeavyBall(0.9), "penalty": Gap(unit="step", level="layer")},
    {"momentum": Dana(0.9)},
    {"momentum": AdamW(), "penalty": Gap(0.9, unit="step", size="layer")},
    {"momentum": AdamWDana()},
    {"momentum": RMSprop(), "penalty": Gap(0.9, unit="step")},
    {"momentum": Lion(), "has_center": True},
]


@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_groups_equal_the_cpu(rule, access):
    sizes = (*SIZES, 100_003)
    gpu = Case(dtype=torch.float32, device="cuda", sizes=sizes, groups=GROUPS, access=access, **rule)
    cpu = Case(dtype=torch.float32, sizes=sizes, groups=GROUPS, access=access, **rule)
    for pushes in range(3):
        gpu.new_gradients()
        cpu.new_gradients()
        gpu.grads[3] = cpu.grads[3] = None
        call = {
            "lr": 0.05, "weight_decay": 0.01, "pushes": pushes + 2, "lr_max": 0.1, "v_pushes": pushes,
            "alpha": 0.2 if "has_center" in rule else 0.0,
        }  # fmt: skip
        got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
        same_statistics(got, want, 1e-4)
    # The norm of a layer is a sum in another order, as it is under another instruction set of the CPU.
    tolerance = 1e-6 if getattr(rule.get("penalty"), "level", None) == "layer" else 0.0
    for name, buffer in cpu.buffers.items():
        torch.testing.assert_close(gpu.buffers[name].cpu(), buffer, rtol=tolerance, atol=tolerance)
