"""The kernels of Full Normalization against autograd through the plain formula, and against each other."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from hogwild.kernels import build_info, norm_backward, norm_forward, use_isa

EPS = 1e-5
SHAPES = [(7, 5), (1, 1), (3, 17, 1), (4, 3, 33), (5, 37, 3, 7), (2, 16, 16), (2, 9, 2, 3, 5), (513, 40)]
DTYPES = [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float64, torch.float64)]


class Channels:
    """Random parameters and state of C channels, some batches old."""

    def __init__(self, channels: int, dtype: torch.dtype = torch.float64, count: int = 4) -> None:
        self.weight, self.bias, self.mu, self.mu_grad, self.nu_grad = torch.randn(5, channels, dtype=dtype)
        self.nu = self.mu.square() + 0.5 + torch.rand(channels, dtype=dtype)
        self.batches, self.gradients = torch.tensor(count), torch.tensor(count)

    @property
    def state(self) -> tuple[Tensor, ...]:
        return self.mu, self.nu, self.batches, self.mu_grad, self.nu_grad, self.gradients

    def forward(self, x: Tensor, alpha: float = 0.3) -> tuple[Tensor, Tensor]:
        return norm_forward(x, self.weight, self.bias, self.mu, self.nu, self.batches, alpha=alpha, eps=EPS)

    def backward(self, g: Tensor, x: Tensor, saved: Tensor, alpha: float = 0.3) -> tuple[Tensor | None, Tensor, Tensor]:
        return norm_backward(g, x, self.weight, saved, self.mu_grad, self.nu_grad, self.gradients, alpha=alpha)


def samples(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(shape, dtype=torch.float64) * 2 + 1).to(dtype)


def column(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.dim() - 2))


def plain(x: Tensor, weight: Tensor, bias: Tensor, mu: Tensor, nu: Tensor) -> Tensor:
    var = (nu - mu.square()).clamp(min=0)
    return column(weight / (var + EPS).sqrt(), x) * (x - column(mu, x)) + column(bias, x)


@pytest.fixture(autouse=True)
def seed_and_isa():
    torch.manual_seed(0)
    before = str(build_info()["isa_in_use"])
    yield
    use_isa(before)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_each_estimator_equals_autograd(shape, channels_last):
    """mu and nu are treated as independent variables; then their averages are updated and distributed over x."""
    c = Channels(shape[1])
    x, g = samples(*shape), samples(*shape)
    if channels_last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    mu, nu, mu_grad, nu_grad = (t.clone() for t in (c.mu, c.nu, c.mu_grad, c.nu_grad))
    dims = [d for d in range(x.dim()) if d != 1]
    mu, nu = 0.7 * mu + 0.3 * x.mean(dims), 0.7 * nu + 0.3 * x.square().mean(dims)
    leaves = [t.clone().requires_grad_() for t in (x, mu, nu, c.weight, c.bias)]
    x_, mu_, nu_, weight_, bias_ = leaves
    want_y = plain(x_, weight_, bias_, mu_, nu_)
    direct, b_mu, b_nu, dweight, dbias = torch.autograd.grad(want_y, leaves, g)
    mu_grad, nu_grad = 0.7 * mu_grad + 0.3 * b_mu, 0.7 * nu_grad + 0.3 * b_nu
    m = x.numel() / x.shape[1]

    y, saved = c.forward(x)
    got = c.backward(g, x, saved)
    close = {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(y, want_y.detach(), **close)
    for name, want in {"mu": mu, "nu": nu, "mu_grad": mu_grad, "nu_grad": nu_grad}.items():
        torch.testing.assert_close(getattr(c, name), want, **close)
    dx = direct + (column(mu_grad, x) + 2 * x * column(nu_grad, x)) / m
    for found, want in zip(got, (dx, dweight, dbias), strict=True):
        torch.testing.assert_close(found, want, **close)
    assert (int(c.batches), int(c.gradients)) == (5, 5)


def test_a_clamped_variance_has_no_gradient():
    """Another worker has updated mu but not nu: nu < mu^2."""
    c = Channels(3)
    c.nu[1] = c.mu[1] ** 2 / 2 - 50
    x, g = samples(4, 3, 5), samples(4, 3, 5)
    y, saved = c.forward(x, alpha=0.25)
    c.mu_grad.zero_()
    c.nu_grad.zero_()
    c.gradients.zero_()
    dx, *_ = c.backward(g, x, saved)
    assert dx is not None
    assert y.isfinite().all()
    assert dx.isfinite().all()
    assert c.nu_grad[1] == 0
    assert (c.nu_grad[[0, 2]] != 0).all()
    torch.testing.assert_close(c.mu_grad[1], -c.weight[1] * g[:, 1].sum() / EPS**0.5)


@pytest.mark.parametrize(("alpha", "decay"), [(0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (0.9, 0.75), (1.0, 0.5)])
def test_the_schedule(alpha, decay):
    """From zeros: nu after t batches of constants, by the schedule written out."""
    mu, nu, count = torch.full((1,), 9.0).double(), torch.full((1,), 99.0).double(), torch.tensor(0)
    want = 99.0
    for t, value in enumerate([3.0, 1.0, 4.0, 1.5, 9.0, 2.0], start=1):
        norm_forward(torch.full((2, 1), value).double(), None, None, mu, nu, count, alpha=alpha, alpha_decay=decay)
        a = max(alpha / t**decay, 1 / t)
        want += a * (value**2 - want)
        assert nu.item() == pytest.approx(want, rel=1e-13)
    if alpha == 0:
        assert mu.item() == pytest.approx(20.5 / 6, rel=1e-13)


@pytest.mark.parametrize("shape", [*SHAPES, (64, 3, 28, 28)])
@pytest.mark.parametrize(("dtype", "input"), DTYPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_instruction_set_gives_the_same_bits(shape, dtype, input, channels_last):
    x, g = samples(*shape, dtype=input), samples(*shape, dtype=input)
    if channels_last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    results = []
    for isa in build_info()["isa"]:
        use_isa(isa)
        torch.manual_seed(1)
        c = Channels(shape[1], dtype)
        y, saved = c.forward(x)
        results.append([y, saved, *c.backward(g, x, saved), *c.state])
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            assert torch.equal(mine, theirs)
    assert results[0][0].dtype == results[0][2].dtype == input


@pytest.mark.parametrize("shape", [(5, 37, 3, 7), (4, 3, 33)])
def test_bfloat16_is_float32_with_rounded_results(shape):
    x, g = samples(*shape, dtype=torch.bfloat16), samples(*shape, dtype=torch.bfloat16)
    results = []
    for input in (torch.bfloat16, torch.float32):
        torch.manual_seed(1)
        c = Channels(shape[1], torch.float32)
        y, saved = c.forward(x.to(input))
        dx, *rest = c.backward(g.to(input), x.to(input), saved)
        assert dx is not None
        results.append([y.to(torch.bfloat16), dx.to(torch.bfloat16), saved, *rest, *c.state])
    for mine, theirs in zip(*results, strict=True):
        assert torch.equal(mine, theirs)


def test_bfloat16_results_overflow_to_infinity_and_keep_nan():
    mu, nu, count = torch.zeros(2), torch.ones(2), torch.tensor(1 << 60)  # so old that a batch changes them little
    x = torch.tensor([[1e10, 1.0], [-1e10, float("nan")]], dtype=torch.bfloat16)
    y, _ = norm_forward(x, torch.tensor([1e30, 1.0]), None, mu, nu, count, alpha=0.0)
    assert y[:, 0].tolist() == [float("inf"), float("-inf")]
    assert y[:, 1].isnan().all()


def test_strides_of_any_kind():
    x, g = samples(6, 5, 4, 3), samples(6, 5, 4, 3)
    results = []
    for view in (
        lambda t: t,
        lambda t: t.to(memory_format=torch.channels_last),
        lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
        lambda t: torch.cat([t, t])[:6].flip(0).flip(0)[::1],
        lambda t: torch.stack([t, t], -1)[..., 0],
    ):
        torch.manual_seed(1)
        c = Channels(5)
        y, saved = c.forward(view(x))
        results.append([y, *c.backward(g, view(x), saved), *c.state[:2]])
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_large_mean_does_not_cancel_the_variance(channels_last):
    """Sums of float32 squares would have an error of 0.06 in a variance of 1 here."""
    x = (torch.randn(8, 6, 40) + 1000).float()
    if channels_last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    mu, nu, count = torch.zeros(6), torch.ones(6), torch.tensor(0)
    y, _ = norm_forward(x, None, None, mu, nu, count, alpha=1.0, eps=EPS)
    exact = x.double()
    want = (exact - exact.mean((0, 2), True)) / (exact.var((0, 2), correction=0, keepdim=True) + EPS).sqrt()
    torch.testing.assert_close(y.double(), want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_a_batch_that_is_not_finite_leaves_its_channel_alone(bad):
    c = Channels(3, torch.float32)
    x, g = samples(4, 3, 5, dtype=torch.float32), samples(4, 3, 5, dtype=torch.float32)
    x[2, 1, 3] = bad
    before = [t.clone() for t in c.state]
    y, saved = c.forward(x)
    c.backward(g, x, saved)
    assert bool(y[:, 1].isfinite().all()) == (bad == 1e30)  # its square overflows float32
    for old, new in zip((before[0], before[1]), (c.mu, c.nu), strict=True):
        assert old[1] == new[1]
        assert (old[[0, 2]] != new[[0, 2]]).all()
    assert all(t.isfinite().all() for t in (c.mu, c.nu, c.mu_grad, c.nu_grad))


def test_without_parameters_and_without_dx():
    c = Channels(4)
    x, g = samples(3, 4, 5), samples(3, 4, 5)
    ones, zeros = torch.ones(4).double(), torch.zeros(4).double()
    results = []
    for weight, bias in ((None, None), (ones, zeros)):
        mu, nu, batches, mu_grad, nu_grad, gradients = (t.clone() for t in c.state)
        y, saved = norm_forward(x, weight, bias, mu, nu, batches, alpha=0.1)
        dx, *rest = norm_backward(
            g, x, weight, saved, mu_grad, nu_grad, gradients, alpha=0.1, wants_x=weight is not None
        )
        results.append([y, *rest, mu, nu, mu_grad, nu_grad])
        assert (dx is None) == (weight is None)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*results, strict=True))


def test_an_empty_batch_changes_nothing():
    c = Channels(4)
    before = [t.clone() for t in c.state]
    x = torch.empty(0, 4, 3).double()
    y, saved = c.forward(x)
    dx, dweight, dbias = c.backward(x, x, saved)
    assert dx is not None
    assert y.shape == dx.shape == x.shape
    assert dweight.tolist() == dbias.tolist() == [0.0] * 4
    assert all(torch.equal(old, new) for old, new in zip(before, c.state, strict=True))


def test_racing_averages_stay_in_the_range_of_the_batches():
    """Four threads, one state, no lock: an average of averages never leaves their range, even if updates are lost."""
    c = Channels(8)
    batches = [samples(16, 8, 9) + k for k in range(4)]
    means = torch.stack([c.mu.clone(), *(x.mean((0, 2)) for x in batches)])
    squares = torch.stack([c.nu.clone(), *(x.square().mean((0, 2)) for x in batches)])

    def work(x: Tensor) -> None:
        for _ in range(50):
            c.forward(x, alpha=0.2)

    threads = [threading.Thread(target=work, args=(x,)) for x in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value, seen in ((c.mu, means), (c.nu, squares)):
        assert (seen.min(0).values - 1e-12 <= value).all()
        assert (value <= seen.max(0).values + 1e-12).all()
        assert (value != seen[0]).all()
    assert 5 <= int(c.batches) <= 204


def test_bad_arguments_are_named():
    c, x = Channels(4, torch.float32), samples(3, 4, dtype=torch.float32)
    _, saved = c.forward(x)
    with pytest.raises(
        ValueError, match=r"x is torch\.float16: with torch\.float32 statistics it is torch\.float32 or"
    ):
        c.forward(x.half())
    with pytest.raises(ValueError, match=r"x is \[3, 5\], the statistics \[4\]"):
        c.forward(samples(3, 5, dtype=torch.float32))
    with pytest.raises(ValueError, match=r"x is \[4\]"):
        c.forward(x[0])
    with pytest.raises(ValueError, match=r"bias: \[3\] torch\.float32 on cpu, expected a contiguous \[4\]"):
        norm_forward(x, None, c.bias[:3], c.mu, c.nu, c.batches, alpha=1.0)
    with pytest.raises(ValueError, match=r"statistics are torch\.bfloat16: keep them float32"):
        norm_forward(x, None, None, c.mu.bfloat16(), c.nu, c.batches, alpha=1.0)
    with pytest.raises(ValueError, match=r"count is \[\] torch\.float32"):
        norm_forward(x, None, None, c.mu, c.nu, torch.tensor(1.0), alpha=1.0)
    with pytest.raises(ValueError, match=r"g is \[2, 4\] torch\.float32 on cpu, but x is \[3, 4\]"):
        c.backward(x[:2], x, saved)
    with pytest.raises(ValueError, match="pass what norm_forward returned"):
        c.backward(x, x, saved[:2])
    with pytest.raises(ValueError, match="on meta"):
        c.forward(x.to("meta"))
