"""The norm of a model by name: the layers that are replaced, and those that stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hogwild import tasks
from hogwild.errors import UsageError
from hogwild.nn.choose import choose_norm, full_norm_buffers
from hogwild.nn.convert import BATCH_NORMS
from hogwild.nn.full_norm import FullNorm

LAYERS = {"resnet20": 19, "lenet": 3, "mlp": 1}
KINDS: dict[str, type | tuple[type, ...]] = {"batch": BATCH_NORMS, "full": FullNorm, "group": nn.GroupNorm, "none": ()}


def build(name: str, norm: bool = True) -> nn.Module:
    torch.manual_seed(4)
    return tasks.build_model(name, tasks.load("digits"), norm)


@pytest.mark.parametrize("norm", KINDS)
@pytest.mark.parametrize("name", LAYERS)
def test_every_batch_norm_is_replaced_and_nothing_else_changes(name: str, norm: str):
    before = {key: value.detach().clone() for key, value in build(name).named_parameters()}
    model = choose_norm(build(name), norm, 0.2)
    normed = [layer for layer in model.modules() if isinstance(layer, (*BATCH_NORMS, FullNorm, nn.GroupNorm))]
    assert len(normed) == (0 if norm == "none" else LAYERS[name])
    assert all(isinstance(layer, KINDS[norm]) for layer in normed)
    assert all(layer.alpha == 0.2 for layer in normed if isinstance(layer, FullNorm))
    after = dict(model.named_parameters())
    assert len(after) == len(before) - (2 * LAYERS[name] if norm == "none" else 0)
    assert all(torch.equal(value, before[key]) for key, value in after.items())
    inputs = tasks.load("digits").train.batch(torch.arange(5), train=False)[0]
    model(inputs).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_an_optional_norm_is_not_there_unless_asked_for(name: str):
    plain, normed = build(name, norm=False), choose_norm(build(name), "none")
    assert not any(isinstance(layer, BATCH_NORMS) for layer in plain.modules())
    inputs = tasks.load("digits").train.batch(torch.arange(5), train=False)[0]
    assert torch.equal(plain(inputs), normed(inputs))


@pytest.mark.parametrize(
    ("channels", "groups"), [(3, 1), (7, 1), (16, 4), (20, 5), (50, 10), (64, 16), (256, 32), (500, 25)]
)
def test_groups_have_four_channels_or_more_and_are_32_at_most(channels: int, groups: int):
    layer = nn.BatchNorm2d(channels, eps=1e-3)
    torch.nn.init.uniform_(layer.weight)
    new = choose_norm(nn.Sequential(layer).eval(), "group")[0]
    assert (new.num_groups, new.eps, new.training) == (groups, 1e-3, False)
    assert new.weight is layer.weight
    assert choose_norm(nn.BatchNorm1d(channels, affine=False), "group").weight is None


def test_a_layer_in_two_places_stays_one():
    norm = nn.BatchNorm1d(8)
    model = choose_norm(nn.Sequential(norm, nn.ReLU(), norm), "group")
    assert model[0] is model[2]
    shared = choose_norm(nn.Sequential(nn.BatchNorm1d(8), nn.BatchNorm1d(8)), "full")
    assert len(full_norm_buffers(shared)) == 12
    assert full_norm_buffers(nn.Sequential(nn.BatchNorm1d(8), shared[1])) == [
        f"1.{name}" for name, _ in shared[1].named_buffers()
    ]


@pytest.mark.parametrize("norm", ["batch", "full", "group"])
def test_nothing_to_replace_is_one_line(norm: str):
    with pytest.raises(UsageError, match=f"--norm {norm} replaces BatchNorm layers, and the model has none") as refusal:
        choose_norm(nn.Linear(3, 4), norm)
    assert "\n" not in str(refusal.value)
    linear = nn.Linear(3, 4)
    assert choose_norm(linear, "none") is linear
