"""Clips the norm of a gradient outside the push kernel."""

from __future__ import annotations

import math

import torch

from hogwild.algorithms.base import Gradients


def clipped(g: Gradients, clip: float) -> Gradients:
    """g min(1, clip / ||g||), for gradients that are not pushed whole. Does not write to g."""
    if not clip:
        return g
    norms = [float(torch.linalg.vector_norm(gradient, dtype=torch.float64)) for gradient in g if gradient is not None]
    if not clip < (norm := math.hypot(*norms)) < math.inf:
        return g
    return [None if gradient is None else gradient * (clip / norm) for gradient in g]
