"""The largest eigenvalue of a loss's Hessian, by power iteration on Hessian-vector products.

    g = grad F;   H v = grad (g . v);   v <- H v / ||H v||;   curvature = v . H v

One product is a second backward through the graph of the first: two to three gradients. The Rayleigh quotient v . H v
never exceeds the largest eigenvalue: it approaches it from below, and its error is the square of the error of v.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ITERATIONS = 20
TOLERANCE = 1e-2

Product = Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Curvature:
    """`value` in units of the loss over squared parameters; `vector` can be the start of a later search."""

    value: float
    vector: list[Tensor]
    products: int
    converged: bool


def largest_curvature(
    loss: Tensor,
    parameters: Sequence[Tensor],
    *,
    start: Sequence[Tensor] | None = None,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    pulse: Callable[[], object] = lambda: None,
    divisor: Sequence[Tensor] | None = None,
) -> Curvature:
    """The largest (most positive) eigenvalue of the Hessian H of `loss` [] in `parameters`; with a `divisor` D > 0,
    shaped like the parameters, that of D^-1/2 H D^-1/2. Vectors are then in the coordinates D^1/2 x.

    Begins at `start` or at random, and ends when the value changes by no more than `tolerance` of itself, or after
    `iterations` products. Where the eigenvalue of the largest modulus is negative, a second search of as many products
    finds the largest one of H - shift. `pulse` is called between products. A loss that is linear has curvature 0.

    Mutates: nothing, the .grad of the parameters included.
    Raises:  RuntimeError if the loss cannot be differentiated twice.
    """
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    curved = [g for g in gradients if g.requires_grad]
    _require_second_derivative(curved)

    scale = None if divisor is None else [part.to(p).rsqrt() for part, p in zip(divisor, parameters, strict=True)]

    def product(v: list[Tensor]) -> list[Tensor]:
        if scale is None:
            return hessian_times(v)
        turned = hessian_times([part * by for part, by in zip(v, scale, strict=True)])
        return [part * by for part, by in zip(turned, scale, strict=True)]

    def hessian_times(v: list[Tensor]) -> list[Tensor]:
        pulse()
        if not curved:
            return [torch.zeros_like(part) for part in v]
        directions = [part for part, g in zip(v, gradients, strict=True) if g.requires_grad]
        return list(torch.autograd.grad(curved, parameters, directions, retain_graph=True, materialize_grads=True))

    generator = torch.Generator().manual_seed(seed)

    def anywhere() -> list[Tensor]:
        return [torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device) for p in parameters]

    found = _search(product, list(start) if start is not None else anywhere(), 0.0, iterations, tolerance)
    if found.value >= 0 or math.isnan(found.value):
        return found
    above = _search(product, anywhere(), found.value, iterations, tolerance)
    return Curvature(above.value, above.vector, found.products + above.products, above.converged)


def _require_second_derivative(gradients: Sequence[Tensor]) -> None:
    """RuntimeError if an operation is marked once_differentiable: autograd would silently leave it out."""
    seen: set[Any] = set()
    ahead = [g.grad_fn for g in gradients]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            raise RuntimeError("one of its operations is marked once_differentiable")
        seen.add(node)
        ahead += [before for before, _ in node.next_functions]


def _search(product: Product, v: list[Tensor], shift: float, iterations: int, tolerance: float) -> Curvature:
    """Power iteration on H - shift. The value is that of H."""
    v = _unit(v)
    value, converged, products = 0.0, False, 0
    while products < iterations and not converged:
        after = product(v)
        products += 1
        before, value = value, _dot(v, after)
        converged = products > 1 and abs(value - before) <= tolerance * abs(value)
        moved = [part - shift * old for part, old in zip(after, v, strict=True)]
        if not _dot(moved, moved) > 0:  # zero (v has no component in the other eigenspaces), or NaN
            return Curvature(value, v, products, not math.isnan(value))
        v = _unit(moved)
    return Curvature(value, v, products, converged)


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return sum(float(torch.sum(a.double() * b.double())) for a, b in zip(one, other, strict=True))


def _unit(v: Sequence[Tensor]) -> list[Tensor]:
    norm = max(_dot(v, v) ** 0.5, 1e-300)
    return [part.detach() / norm for part in v]
