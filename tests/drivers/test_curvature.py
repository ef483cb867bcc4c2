"""The largest eigenvalue by power iteration: known spectra, a dense Hessian, and no side effects."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hogwild.drivers.instruments.curvature import largest_curvature

SPECTRA = {
    "positive": [7.5, 5.0, 2.0, 1.0, 0.5, 0.25, 0.01],
    "largest modulus negative": [-9.0, 3.0, 2.0, 1.0, 0.0, -0.5, -1.0],
    "twice the same": [4.0, 4.0, 1.0, 0.5, 0.1, -2.0, -3.0],
    "concave": [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0],
}


def quadratic(spectrum: list[float], seed: int) -> tuple[Tensor, list[Tensor]]:
    """f = x A x / 2 + b x at a random x, in two parameters; A mixes all their elements."""
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(7, 7, generator=generator, dtype=torch.float64))
    a = turn @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ turn.T
    parts = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in ((2, 2), (3,))]
    x = torch.cat([part.reshape(-1) for part in parts])
    return x @ a @ x / 2 + x.sum(), parts


@pytest.mark.parametrize("name", SPECTRA)
def test_a_known_spectrum(name: str):
    for seed in range(3):
        loss, parts = quadratic(SPECTRA[name], seed)
        found = largest_curvature(loss, parts, iterations=400, tolerance=1e-13, seed=seed)
        assert found.value == pytest.approx(max(SPECTRA[name]), rel=1e-6)
        assert found.converged


def test_the_vector_is_the_eigenvector_and_a_start_that_saves_products():
    loss, parts = quadratic(SPECTRA["positive"], 5)
    found = largest_curvature(loss, parts, iterations=400, tolerance=1e-13)
    gradients = torch.autograd.grad(loss, parts, create_graph=True)
    turned = torch.autograd.grad(gradients, parts, found.vector, retain_graph=True)
    for image, part in zip(turned, found.vector, strict=True):
        torch.testing.assert_close(image, 7.5 * part, rtol=1e-4, atol=1e-5)
    again = largest_curvature(loss, parts, start=found.vector, tolerance=1e-6)
    assert again.products == 2 < found.products
    assert again.value == pytest.approx(7.5, rel=1e-9)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_too_few_products_are_counted_and_err_from_below(iterations: int):
    calls: list[int] = []
    loss, parts = quadratic(SPECTRA["positive"], 2)
    found = largest_curvature(loss, parts, iterations=iterations, tolerance=0.0, pulse=lambda: calls.append(1))
    assert found.products == len(calls) == iterations
    assert not found.converged
    assert 0 < found.value < 7.5


def net() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def test_a_small_network_against_its_dense_hessian():
    module, generator = net(), torch.Generator().manual_seed(1)
    inputs = torch.randn(17, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(3, (17,), generator=generator)
    names, parameters = zip(*module.named_parameters(), strict=True)
    shapes = [p.shape for p in parameters]

    def of_flat(flat: Tensor) -> Tensor:
        pieces = torch.split(flat, [shape.numel() for shape in shapes])
        values = {name: piece.view(shape) for name, piece, shape in zip(names, pieces, shapes, strict=True)}
        return nn.functional.cross_entropy(torch.func.functional_call(module, values, inputs), targets)

    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    spectrum = torch.linalg.eigvalsh(torch.autograd.functional.hessian(of_flat, flat))
    assert spectrum[0] < -1e-3, "the Hessian must be indefinite for this test"
    before = flat.clone()
    loss = nn.functional.cross_entropy(module(inputs), targets)
    found = largest_curvature(loss, parameters, iterations=500, tolerance=1e-12)
    assert found.value == pytest.approx(float(spectrum[-1]), rel=1e-6)
    assert torch.equal(torch.cat([p.detach().reshape(-1) for p in parameters]), before)
    assert all(p.grad is None for p in parameters)


def test_no_curvature_where_there_is_none():
    x, unused = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    assert largest_curvature((2 * x).sum(), [x, unused]).value == 0.0
    mixed = largest_curvature((x[:1] ** 2).sum() * 1.5 + x.sum(), [x, unused], iterations=50, tolerance=1e-7)
    assert mixed.value == pytest.approx(3.0, rel=1e-6)
    assert all(not part.any() for part in mixed.vector[1:])


def test_a_nonfinite_loss_has_no_curvature():
    x = torch.full((3,), float("nan"), requires_grad=True)
    found = largest_curvature((x**4).sum(), [x])
    assert found.value != found.value
    assert not found.converged
