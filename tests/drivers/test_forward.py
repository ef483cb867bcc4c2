"""The forward pass under autocast, compiled and with channels last, on the CPU, over flat buffers."""

from __future__ import annotations

import shutil
import warnings
from typing import NamedTuple

import pytest
import torch
from slow import slow
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.drivers.job.forward import Forward
from hogwild.errors import UsageError
from hogwild.nn import FullNorm2d
from hogwild.shared.devices import Reading, map_tensors, to_device
from hogwild.shared.layout import ParameterLayout, trainable

CPU = torch.device("cpu")


def net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), FullNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 25, 7)
    )


def gradients(module: nn.Module, forward: Forward, inputs: Tensor) -> list[Tensor]:
    loss = forward(inputs).square().mean()
    found = torch.autograd.grad(loss, trainable(module))
    return [g.detach() for g in found]


def bound(module: nn.Module) -> tuple[ParameterLayout, Tensor, Tensor]:
    """The module's layout and two flat buffers with its parameters; it is bound to the first."""
    layout = ParameterLayout.of(module, torch.float32)
    flats = [torch.zeros(layout.n) for _ in range(2)]
    for flat in flats:
        for view, parameter in zip(layout.views(flat), trainable(module), strict=True):
            view.copy_(parameter.detach())
    layout.bind(module, flats[0])
    return layout, flats[0], flats[1]


def test_bfloat16_forward_leaves_a_float32_master() -> None:
    module, inputs = net(), torch.randn(4, 3, 5, 5)
    exact = gradients(module, Forward(module, Config(), CPU), inputs)
    forward = Forward(module, Config(amp="bf16"), CPU)
    assert forward(inputs).dtype is torch.float32
    rounded = gradients(module, forward, inputs)
    for got, want in zip(rounded, exact, strict=True):
        assert got.dtype is torch.float32
        assert not torch.equal(got, want)  # it was rounded somewhere
        torch.testing.assert_close(got, want, rtol=0.1, atol=0.03 * float(want.abs().max()))
    assert all(parameter.dtype is torch.float32 for parameter in module.parameters())


def test_channels_last_changes_no_gradient_but_its_rounding() -> None:
    module, inputs = net(), torch.randn(4, 3, 5, 5)
    seen = []
    module[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    want = gradients(module, Forward(module, Config(), CPU), inputs)
    got = gradients(module, Forward(module, Config(channels_last=True), CPU), inputs)
    assert seen[1].is_contiguous(memory_format=torch.channels_last)
    assert not seen[1].is_contiguous()
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-4, atol=1e-6)


def test_inputs_other_than_images_keep_their_layout() -> None:
    module = nn.Identity()
    inputs = torch.randn(4, 6).t()
    assert Forward(module, Config(channels_last=True), CPU)(inputs) is inputs


@pytest.mark.parametrize("backend", ["eager", slow("aot_eager")])
def test_a_compiled_module_survives_being_bound_to_other_memory(backend: str) -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    layout, first, second = bound(module)
    inputs = torch.randn(4, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about itself
        forward = Forward(module, Config(compile=True), CPU, backend=backend)
        before = gradients(module, forward, inputs)
        second.mul_(2.0)
        layout.bind(module, second)
        after = gradients(module, forward, inputs)
        first.fill_(float("nan"))  # the old memory must not be read any more
        again = gradients(module, forward, inputs)
    want = gradients(module, Forward(module, Config(), CPU), inputs)
    for b, a, c, w in zip(before, after, again, want, strict=True):
        torch.testing.assert_close(a, w, rtol=1e-5, atol=1e-7)
        assert torch.equal(a, c)
        assert not torch.equal(a, b)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the compiler of torch.compile needs g++")
@pytest.mark.slow
def test_autocast_inside_a_compiled_module() -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    inputs = torch.randn(4, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forward = Forward(module, Config(compile=True, amp="bf16"), CPU, backend="aot_eager")
        got = gradients(module, forward, inputs)
    want = gradients(module, Forward(module, Config(amp="bf16"), CPU), inputs)
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-2, atol=1e-3)


def test_amp_and_a_float64_master_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="amp bf16 is for a float32 master, dtype is float64"):
        Config(amp="bf16", dtype="float64")


class Pair(NamedTuple):
    one: Tensor
    other: Tensor


def test_batches_are_moved_in_whatever_they_come() -> None:
    one, other = torch.ones(2), torch.arange(3)
    nest = {"pair": Pair(one, other), "list": [one, "text"], "tuple": (other, None)}
    moved = to_device(nest, CPU, torch.float64)
    assert isinstance(moved["pair"], Pair)
    assert (moved["pair"].one.dtype, moved["pair"].other.dtype) == (torch.float64, torch.int64)
    assert moved["list"][1] == "text"
    assert isinstance(moved["tuple"], tuple)
    assert map_tensors(len, [one, {"a": other}]) == [2, {"a": 3}]


def test_a_reading_is_the_number() -> None:
    assert Reading(torch.tensor(2.5)).get() == 2.5
