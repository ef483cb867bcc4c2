"""Many tensors of a module in one call: changes of its parameters are seen, its buffers copied."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from hogwild.kernels.modules import ParameterWatch, module_copies, parameter_watch


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 5), nn.Linear(5, 1)
        self.kept = nn.Parameter(torch.ones(7), requires_grad=False)


def watched() -> tuple[Net, ParameterWatch]:
    net = Net()
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    watch = parameter_watch(net, trained, [net.kept])
    watch.look()
    return net, watch


def swap(net: Net) -> None:
    net.last.bias = nn.Parameter(torch.zeros(1))


def move(net: Net) -> None:
    net.kept.data = net.kept.data.clone()


def freeze(net: Net) -> None:
    net.first.bias.requires_grad = False


@pytest.mark.parametrize("act", [swap, move, freeze])
def test_a_watch_sees_what_happens_to_a_parameter(act: Callable[[Net], None]):
    net, watch = watched()
    assert watch.same(True)
    assert watch.same(False)
    act(net)
    assert not watch.same(False)


def test_a_watch_counts_writes_to_trained_parameters():
    net, watch = watched()
    with torch.no_grad():
        net.kept.add_(1)
        assert watch.same(True)
        net.last.weight.clamp_(-0.1, 0.1)
    assert watch.same(False)
    assert not watch.same(True)
    changed = [before != after for before, after in zip(watch.seen(), watch.now(), strict=True)]
    assert changed == [False, False, True, False, False]
    watch.look()
    assert watch.same(True)


@pytest.mark.parametrize("at", [0, 13, 14])
def test_a_sum_shows_a_write_past_the_count(at: int):
    """15 elements: the last one is no whole word of 8 bytes."""
    net, watch = watched()
    before = watch.sums()
    net.first.weight.data.view(-1)[at] += 0.5
    assert watch.same(True)
    assert [one != other for one, other in zip(before, watch.sums(), strict=True)] == [True, False, False, False]


def buffered() -> nn.Module:
    module = nn.Sequential(nn.BatchNorm1d(17), nn.Linear(17, 1), nn.BatchNorm1d(1))
    module.register_buffer("mask", torch.tensor([True, False, True]))
    return module


def test_buffers_are_copied_out_and_back():
    module = buffered()
    tensors = list(module.buffers())
    copies = module_copies(module, tensors)
    assert copies is not None
    places = [torch.zeros_like(tensor) for tensor in tensors]
    number = copies.add([place.data_ptr() for place in places])
    module(torch.randn(8, 17))
    expected = [tensor.clone() for tensor in tensors]
    assert copies.write(number)
    assert all(torch.equal(place, value) for place, value in zip(places, expected, strict=True))
    for tensor in tensors:
        tensor.zero_()
    assert copies.read(number)
    assert all(torch.equal(tensor, value) for tensor, value in zip(tensors, expected, strict=True))


def replace(module: nn.Module) -> None:
    module[2].running_mean = torch.ones(1)


def extend(module: nn.Module) -> None:
    module[1].register_buffer("late", torch.ones(2))


def add_a_child(module: nn.Module) -> None:
    module.add_module("late", nn.BatchNorm1d(3))


def shrink(module: nn.Module) -> None:
    module[0].running_mean.resize_(3)


def relocate(module: nn.Module) -> None:
    module[0].running_mean.data = torch.ones(17)


@pytest.mark.parametrize("act", [replace, extend, add_a_child, shrink, relocate])
def test_no_buffer_is_copied_once_they_are_others(act: Callable[[nn.Module], None]):
    module = buffered()
    tensors = list(module.buffers())
    copies = module_copies(module, tensors)
    assert copies is not None
    places = [torch.full_like(tensor, 1) for tensor in tensors]
    number = copies.add([place.data_ptr() for place in places])
    before = [place.clone() for place in places]
    act(module)
    assert not copies.is_unchanged()
    assert not copies.write(number)
    assert not copies.read(number)
    assert all(torch.equal(place, value) for place, value in zip(places, before, strict=True))


def test_a_buffer_that_is_not_contiguous_is_not_copied_so():
    module = buffered()
    module.register_buffer("apart", torch.ones(3, 5).t())
    assert module_copies(module, list(module.buffers())) is None
