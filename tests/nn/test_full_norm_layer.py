"""The uses of a drop-in layer: layouts, autocast, compilation, copies, shared memory, errors."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from norm_cases import error, passes, samples, with_random_parameters
from torch import nn

from hogwild.nn import FullNorm1d, FullNorm2d, FullNorm3d, convert_full_norm


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
@pytest.mark.slow
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
    """Two layers on one state, like those of two workers: each continues from the state of the other."""
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
