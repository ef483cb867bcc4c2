"""The mathematics of the layers: BatchNorm at alpha = 1, the plain formula elsewhere."""

from __future__ import annotations

import pytest
import torch
from norm_cases import KINDS, SHAPES, TOLERANCE, error, kind_for, passes, samples, with_random_parameters
from norm_reference import PlainNorm
from torch import nn

from hogwild.nn import FullNorm1d, FullNorm2d


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("kind", "batch_norm", "shape"), KINDS)
def test_alpha_1_is_batch_norm(kind, batch_norm, shape, dtype):
    """float32 is compared with BatchNorm in float64; BatchNorm in float32 has an error of the same size."""
    fn, bn = kind(shape[1], alpha=1.0, dtype=dtype), batch_norm(shape[1], dtype=torch.float64)
    with_random_parameters(bn, fn)
    for _ in range(3):
        x, g = samples(*shape, dtype=dtype), samples(*shape, dtype=dtype)
        for got, want in zip(passes(fn, x, g), passes(bn, x.double(), g.double()), strict=True):
            assert error(got, want) <= TOLERANCE[dtype]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_batch_is_batch_norm_whatever_alpha(shape):
    fn = kind_for(shape)(shape[1], alpha=0.01, dtype=torch.float64)
    bn = next(bn for _, bn, other in KINDS if other == shape)(shape[1], dtype=torch.float64)
    x, g = samples(*shape), samples(*shape)
    for got, want in zip(passes(fn, x, g), passes(bn, x, g), strict=True):
        assert error(got, want) <= 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("alpha", "decay"), [(0.0, 0.0), (0.1, 0.0), (0.7, 0.0), (1.0, 0.75)])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_plain_formula_over_many_batches(shape, alpha, decay, dtype, tolerance):
    fn = kind_for(shape)(shape[1], alpha=alpha, alpha_decay=decay, dtype=dtype)
    plain = PlainNorm(shape[1], alpha, decay)
    for step in range(8):
        x, g = samples(*shape, dtype=dtype) + step % 3, samples(*shape, dtype=dtype)
        for got, want in zip(passes(fn, x, g), plain(x.double(), g.double()), strict=True):
            assert error(got, want) <= tolerance
    for name in ("mu", "nu", "mu_grad", "nu_grad"):
        buffer = fn.get_buffer("running_" + name.replace("mu", "mean").replace("nu", "square"))
        assert error(buffer.double(), getattr(plain, name)) <= tolerance
    assert int(fn.num_batches_tracked) == int(fn.num_gradients_tracked) == 8


def test_evaluation_uses_the_stored_statistics_and_moves_nothing():
    fn = FullNorm2d(5, alpha=0.2, dtype=torch.float64)
    with_random_parameters(fn)
    for _ in range(4):
        passes(fn, samples(3, 5, 4, 4), samples(3, 5, 4, 4))
    before = {name: buffer.clone() for name, buffer in fn.named_buffers()}
    fn.eval()
    x, g = samples(2, 5, 3, 3), samples(2, 5, 3, 3)
    y, dx, *_ = passes(fn, x, g)
    mu, nu = before["running_mean"], before["running_square"]
    scale = (fn.weight / (nu - mu**2 + fn.eps).sqrt()).detach().view(1, 5, 1, 1)
    torch.testing.assert_close(y, (x - mu.view(1, 5, 1, 1)) * scale + fn.bias.detach().view(1, 5, 1, 1))
    torch.testing.assert_close(dx, g * scale)
    assert all(torch.equal(buffer, before[name]) for name, buffer in fn.named_buffers())
    fn.running_square.fill_(-1.0)  # impossible for real data, and clamped
    assert fn(x).isfinite().all()


def test_without_gradients_the_statistics_move_and_the_others_do_not():
    fn = FullNorm1d(4)
    with torch.no_grad():
        y = fn(samples(8, 4, dtype=torch.float32))
    assert not y.requires_grad
    assert (int(fn.num_batches_tracked), int(fn.num_gradients_tracked)) == (1, 0)
    assert (fn.running_mean != 0).all()
    assert not fn.running_mean_grad.any()


def test_without_state_it_is_batch_norm_in_evaluation_too():
    fn, bn = FullNorm2d(3, track_running_stats=False), nn.BatchNorm2d(3, track_running_stats=False)
    assert list(fn.state_dict()) == ["weight", "bias"]
    for _ in range(2):
        x, g = samples(4, 3, 5, 5, dtype=torch.float32), samples(4, 3, 5, 5, dtype=torch.float32)
        for got, want in zip(passes(fn, x, g), passes(bn, x, g), strict=True):
            assert error(got, want) < 1e-6
        fn.eval(), bn.eval()


def test_without_parameters():
    fn, bn = FullNorm1d(6, alpha=1.0, affine=False), nn.BatchNorm1d(6, affine=False)
    assert list(fn.parameters()) == []
    x, g = samples(9, 6, dtype=torch.float32), samples(9, 6, dtype=torch.float32)
    for got, want in zip(passes(fn, x, g), passes(bn, x, g), strict=True):
        assert error(got, want) < 1e-6


def test_frozen_parameters_and_inputs():
    fn = FullNorm1d(4, alpha=1.0)
    x, g = samples(8, 4, dtype=torch.float32), samples(8, 4, dtype=torch.float32)
    fn(x).backward(g)  # x needs no gradient
    weight_grad = fn.weight.grad.clone()
    fn.requires_grad_(False)
    x.requires_grad_()
    fn(x).backward(g)
    assert torch.equal(fn.weight.grad, weight_grad)
    assert x.grad.abs().sum() > 0


def test_one_element_per_channel_is_enough():
    fn = FullNorm1d(4, alpha=0.5)
    x = samples(1, 4, dtype=torch.float32)
    assert torch.equal(fn(x), torch.zeros(1, 4))  # a single element equals the mean
    y = fn(x + 2)
    assert y.isfinite().all()
    assert (y > 0).all()
    y.sum().backward()
    assert fn.running_mean_grad.isfinite().all()
