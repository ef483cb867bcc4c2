"""The layers: BatchNorm at alpha = 1, the plain formula elsewhere, and everything a drop-in layer is asked to do."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from norm_reference import PlainNorm
from torch import Tensor, nn

from hogwild.nn import FullNorm1d, FullNorm2d, FullNorm3d, convert_full_norm
from hogwild.nn.full_norm import FullNorm

KINDS = [
    (FullNorm1d, nn.BatchNorm1d, (33, 7)),
    (FullNorm1d, nn.BatchNorm1d, (9, 7, 5)),
    (FullNorm2d, nn.BatchNorm2d, (5, 19, 7, 3)),
    (FullNorm3d, nn.BatchNorm3d, (3, 5, 2, 3, 4)),
]
SHAPES = [shape for _, _, shape in KINDS]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def samples(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(shape, dtype=torch.float64) * 2 + 1).to(dtype)


def kind_for(shape: tuple[int, ...]) -> type[FullNorm]:
    return next(kind for kind, _, other in KINDS if len(other) == len(shape))


def with_random_parameters(*layers: nn.Module) -> None:
    for parameter in layers[0].parameters():
        nn.init.uniform_(parameter, 0.5, 2.0)
    for layer in layers[1:]:
        for mine, first in zip(layer.parameters(), layers[0].parameters(), strict=True):
            mine.data.copy_(first)


def passes(layer: nn.Module, x: Tensor, g: Tensor) -> list[Tensor]:
    """y and the gradients of x, weight, bias, in float64."""
    x = x.clone().requires_grad_()
    y = layer(x)
    parameters = list(layer.parameters())
    return [t.detach().double() for t in (y, *torch.autograd.grad(y, [x, *parameters], g))]


def error(got: Tensor, want: Tensor) -> float:
    return float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("kind", "batch_norm", "shape"), KINDS)
def test_alpha_1_is_batch_norm(kind, batch_norm, shape, dtype):
    """float32 is compared with BatchNorm in float64, whose own float32 is no nearer to it."""
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
    fn.running_square.fill_(-1.0)  # as no data has: clamped
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
    fn(x).backward(g)  # x wants none
    weight_grad = fn.weight.grad.clone()
    fn.requires_grad_(False)
    x.requires_grad_()
    fn(x).backward(g)
    assert torch.equal(fn.weight.grad, weight_grad)
    assert x.grad.abs().sum() > 0


def test_one_element_per_channel_is_enough():
    fn = FullNorm1d(4, alpha=0.5)
    x = samples(1, 4, dtype=torch.float32)
    assert torch.equal(fn(x), torch.zeros(1, 4))  # alone, it is the mean
    y = fn(x + 2)
    assert y.isfinite().all()
    assert (y > 0).all()
    y.sum().backward()
    assert fn.running_mean_grad.isfinite().all()


def test_channels_last_goes_in_and_comes_out():
    fn = FullNorm2d(8, alpha=0.5)
    other = copy.deepcopy(fn)
    for _ in range(2):
        x, g = samples(3, 8, 5, 6, dtype=torch.float32), samples(3, 8, 5, 6, dtype=torch.float32)
        last = x.to(memory_format=torch.channels_last)
        assert fn(last).is_contiguous(memory_format=torch.channels_last)
        other(x)
        for got, want in zip(passes(fn, last, g), passes(other, x, g), strict=True):
            assert error(got, want) < 1e-6


def test_autocast_in_a_network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), FullNorm2d(8), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 36, 2))
    x = torch.randn(6, 3, 8, 8)
    seen = []
    net[1].register_forward_hook(lambda _module, inputs, y: seen.append((inputs[0].dtype, y.dtype)))
    for _ in range(3):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = net(x).float().square().mean()
        loss.backward()
    net.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(x).isfinite().all()
    assert seen == [(torch.bfloat16, torch.bfloat16)] * 4
    assert {p.grad.dtype for p in net.parameters()} == {torch.float32}
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_a_second_derivative_is_refused_in_one_line():
    fn = FullNorm1d(4)
    x = samples(8, 4, dtype=torch.float32).requires_grad_()
    (dx,) = torch.autograd.grad(fn(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"FullNorm has no second derivative.*use BatchNorm"):
        dx.square().sum().backward()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch's own tracing
def test_under_torch_compile():
    net = nn.Sequential(nn.Linear(6, 6), FullNorm1d(6, alpha=0.5), nn.ReLU())
    eager = copy.deepcopy(net)
    compiled = torch.compile(net, backend="aot_eager")  # the graphs of any backend, without a C++ compiler
    for _ in range(2):
        x, g = samples(8, 6, dtype=torch.float32), samples(8, 6, dtype=torch.float32)
        for got, want in zip(passes(compiled, x, g), passes(eager, x, g), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert int(net[1].num_batches_tracked) == 2


def test_state_dict_deepcopy_and_pickle():
    fn = FullNorm2d(5, alpha=0.3)
    with_random_parameters(fn)
    for _ in range(3):
        passes(fn, samples(2, 5, 3, 3, dtype=torch.float32), samples(2, 5, 3, 3, dtype=torch.float32))
    names = ["weight", "bias", "running_mean", "running_square", "running_mean_grad", "running_square_grad"]
    assert list(fn.state_dict()) == [*names, "num_batches_tracked", "num_gradients_tracked"]
    loaded = FullNorm2d(5, alpha=0.3)
    loaded.load_state_dict(fn.state_dict())
    file = io.BytesIO()
    torch.save(fn, file)
    file.seek(0)
    unpickled = torch.load(file, weights_only=False)
    x, g = samples(2, 5, 3, 3, dtype=torch.float32), samples(2, 5, 3, 3, dtype=torch.float32)
    copies = [loaded, copy.deepcopy(fn), unpickled]
    want = passes(fn, x, g)
    for other in copies:
        assert all(torch.equal(got, w) for got, w in zip(passes(other, x, g), want, strict=True))


def test_buffers_in_shared_memory():
    """Two layers on one state, as two workers have them: each goes on where the other stopped."""
    one, two, alone = (FullNorm1d(4, alpha=0.5) for _ in range(3))
    shared = {name: buffer.clone().share_memory_() for name, buffer in one.named_buffers()}
    for layer in (one, two):
        for name, buffer in layer.named_buffers():
            buffer.data = shared[name]
    for layer in (one, two, two, one):
        x, g = samples(8, 4, dtype=torch.float32), samples(8, 4, dtype=torch.float32)
        for got, want in zip(passes(layer, x, g), passes(alone, x, g), strict=True):
            assert torch.equal(got, want)
    assert all(torch.equal(shared[name], buffer) for name, buffer in alone.named_buffers())


def test_reset():
    fn = FullNorm1d(4)
    fresh = copy.deepcopy(fn.state_dict())
    with_random_parameters(fn)
    passes(fn, samples(8, 4, dtype=torch.float32), samples(8, 4, dtype=torch.float32))
    assert not any(torch.equal(value, fresh[name]) for name, value in fn.state_dict().items())
    fn.reset_parameters()
    assert all(torch.equal(value, fresh[name]) for name, value in fn.state_dict().items())
    assert fresh["running_square"].tolist() == [1.0] * 4


def test_errors_are_one_line():
    fn = FullNorm2d(4)
    with pytest.raises(ValueError, match=r"^FullNorm2d takes \[N, 4, H, W\]: got \[2, 4, 3\]$"):
        fn(torch.randn(2, 4, 3))
    with pytest.raises(ValueError, match=r"^FullNorm1d takes \[N, 4\] or \[N, 4, L\]: got \[2, 5\]$"):
        FullNorm1d(4)(torch.randn(2, 5))
    with pytest.raises(ValueError, match=r"x is torch\.float64: with torch\.float32 statistics it is"):
        fn(torch.randn(2, 4, 3, 3).double())
    with pytest.raises(ValueError, match=r"statistics are torch\.bfloat16: keep them float32"):
        copy.deepcopy(fn).bfloat16()(torch.randn(2, 4, 3, 3).bfloat16())
    for arguments, words in (
        ({"eps": 0.0}, "eps is 0.0"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha_decay": 1.0}, "alpha_decay is 1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            FullNorm1d(4, **arguments)
    assert repr(FullNorm1d(4, 1e-3, 0.2)) == (
        "FullNorm1d(4, eps=0.001, alpha=0.2, affine=True, track_running_stats=True, alpha_decay=0.0)"
    )


def test_convert():
    norm = nn.BatchNorm1d(6)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 6), norm, nn.ReLU(), norm, nn.BatchNorm1d(6, affine=False)),
        nn.LayerNorm(6),
    )
    for _ in range(5):
        net(torch.randn(7, 3, 6, 6) + 1)
    net.eval()
    x = torch.randn(7, 3, 6, 6)
    want, parameters = net(x), list(net.parameters())
    converted = convert_full_norm(net, alpha=0.25, alpha_decay=0.5)
    assert converted is net
    assert [type(m).__name__ for m in net[2]] == ["Flatten", "Linear", "FullNorm1d", "ReLU", "FullNorm1d", "FullNorm1d"]
    assert net[2][2] is net[2][4]
    assert (net[1].eps, net[1].alpha, net[1].alpha_decay, net[1].training) == (1e-3, 0.25, 0.5, False)
    assert int(net[1].num_batches_tracked) == 5
    assert int(net[2][2].num_batches_tracked) == 10
    assert all(new is old for new, old in zip(net.parameters(), parameters, strict=True))
    torch.testing.assert_close(net(x), want, rtol=1e-5, atol=1e-5)
    alone = convert_full_norm(nn.BatchNorm3d(2, dtype=torch.float64, track_running_stats=False))
    assert isinstance(alone, FullNorm3d)
    assert alone.weight.dtype is torch.float64
    assert alone.running_mean is None
    with pytest.raises(ValueError, match="LazyBatchNorm1d does not know its size"):
        convert_full_norm(nn.Sequential(nn.LazyBatchNorm1d()))
