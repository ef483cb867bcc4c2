"""Full Normalization in plain torch operations and any dtype; dL/dmu and dL/dnu by autograd. Only tests use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlainNorm(nn.Module):
    """One layer. Its call takes the batch and dL/dy and returns y, dL/dx, dL/dweight, dL/dbias."""

    def __init__(self, channels: int, alpha: float, alpha_decay: float = 0.0, eps: float = 1e-5) -> None:
        super().__init__()
        self.alpha, self.alpha_decay, self.eps, self.t = alpha, alpha_decay, eps, 0
        self.weight, self.bias = torch.ones(channels).double(), torch.zeros(channels).double()
        self.mu, self.nu, self.mu_grad, self.nu_grad = torch.zeros(4, channels).double()

    def forward(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dims = [d for d in range(x.dim()) if d != 1]
        spread = (1, -1, *[1] * (x.dim() - 2))
        self.t += 1
        a = max(self.alpha / self.t**self.alpha_decay, 1 / self.t)
        self.mu = self.mu + a * (x.mean(dims) - self.mu)
        self.nu = self.nu + a * (x.square().mean(dims) - self.nu)
        leaves = [t.clone().requires_grad_() for t in (x, self.mu, self.nu, self.weight, self.bias)]
        x_, mu, nu, weight, bias = (t if t is leaves[0] else t.view(spread) for t in leaves)
        y = weight * (x_ - mu) / ((nu - mu.square()).clamp(min=0) + self.eps).sqrt() + bias
        direct, mu_grad, nu_grad, dweight, dbias = torch.autograd.grad(y, leaves, g)
        self.mu_grad = self.mu_grad + a * (mu_grad - self.mu_grad)
        self.nu_grad = self.nu_grad + a * (nu_grad - self.nu_grad)
        m = x.numel() / x.shape[1]
        dx = direct + (self.mu_grad.view(spread) + 2 * x * self.nu_grad.view(spread)) / m
        return y.detach(), dx, dweight, dbias
