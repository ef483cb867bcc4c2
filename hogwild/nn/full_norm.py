"""Full Normalization: batch normalisation by the statistics of the whole data set instead of those of the batch.

Batch normalisation minimises an objective that depends on how batches are formed; with one class per batch it fails.
Full Normalization minimises the loss of a network that normalises by E[x] and E[x^2] over all data. This loss is a
composition of expectations, so the inner ones are replaced by running estimates (stochastic compositional gradients).
Forward and backward pass both need running estimates:

    forward     mu <- (1 - a) mu + a mean_B x        nu <- (1 - a) nu + a mean_B x^2       nu is linear: E[x^2]
                y = weight (x - mu) / s + bias       s = sqrt(max(nu - mu^2, 0) + eps)     of the moved statistics
    backward    G_mu <- (1 - a) G_mu + a dL_B/dmu    G_nu <- (1 - a) G_nu + a dL_B/dnu
                dL/dx = weight g / s + (G_mu + 2 x G_nu) / m       g = dL/dy, m elements per channel of the batch
    evaluation  y from the stored mu, nu
    schedule    a_t = max(alpha / t^alpha_decay, 1 / t) for the t-th batch; G_mu and G_nu count their own batches

With alpha = 1 this is BatchNorm. With alpha = 0 the averages are plain means over all batches so far.

Source:   Lian and Liu 2019, "Revisit Batch Normalization", arXiv:1810.06177. The theory of stochastic compositional
          gradients asks for learning rates with lr_t / a_t -> 0, sum lr_t = inf and sum a_t^2 < inf: alpha_decay
          between 1/2 and 1, and an lr that falls faster.
Deviates: the estimators dL_B/dmu, dL_B/dnu are derived here and tested against autograd (tests/kernels/test_norm.py).
Races:    the buffers may lie in memory shared by processes (set buffer.data, or load_state_dict into it). Nothing is
          locked: plain loads and stores, so workers may lose each other's batches and t may fall behind; elements are
          never torn. With n workers an average forgets about n times as fast as alpha says, by 1 - (1 - a)^n in the
          time of one worker's batch. The backward pass of a batch uses the statistics of its own forward pass, not
          later ones of other workers.
Threads:  one. A worker has one thread; torch's intra-op threads are not used.
Training: the gradients dL/dmu and dL/dnu of a bad batch stay in G_mu and G_nu for about 1 / a batches. With a large
          learning rate, clip the norm of the gradient and warm up.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hogwild.nn.full_norm_autograd import normalise

BUFFERS = ("running_mean", "running_square", "running_mean_grad", "running_square_grad")


class FullNorm(nn.Module):
    """The layer described in the module docstring. Arguments as for BatchNorm, with `alpha` in place of `momentum`.

    Args:    num_features: C.  eps: > 0, added to the variance.  alpha: in [0, 1], the weight of a new batch.
             affine: whether weight and bias [C] are learned.  track_running_stats: False keeps no state, like
             alpha = 1, in evaluation too.  device, dtype: of parameters and statistics, float32 or (CPU) float64.
             alpha_decay: in [0, 1), alpha_t = alpha / t^alpha_decay.
    Input:   [N, C, *] of any strides; contiguous and channels-last ones are not copied. float32 or bfloat16 with
             float32 statistics (under autocast too), float64 with float64. One element per channel is enough.
    Buffers: running_mean (mu), running_square (nu), running_mean_grad (G_mu), running_square_grad (G_nu) [C];
             num_batches_tracked, num_gradients_tracked [] int64. All but these two are means: average their copies.
    Mutates: its buffers, in training mode only: the first two and num_batches_tracked in forward, also without
             gradients; the others in backward. A batch that is not finite changes no buffer.
    Errors:  ValueError for another shape, dtype or device; RuntimeError for a second derivative.
    """

    _shapes: ClassVar[dict[int, str]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        alpha: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        alpha_decay: float = 0.0,
    ) -> None:
        super().__init__()
        if not eps > 0:
            raise ValueError(f"eps is {eps}: it must be greater than 0, because a variance may be 0")
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha}: the weight of a new batch lies in [0, 1]")
        if not 0 <= alpha_decay < 1:
            raise ValueError(f"alpha_decay is {alpha_decay}: it must lie in [0, 1); alpha = 0 gives 1 / t")
        self.num_features, self.eps, self.alpha, self.alpha_decay = num_features, eps, alpha, alpha_decay
        self.affine, self.track_running_stats = affine, track_running_stats
        for name in ("weight", "bias"):
            parameter = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype)) if affine else None
            self.register_parameter(name, parameter)
        for name in BUFFERS:
            buffer = torch.empty(num_features, device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, buffer)
        for name in ("num_batches_tracked", "num_gradients_tracked"):
            counter = torch.empty((), device=device, dtype=torch.int64) if track_running_stats else None
            self.register_buffer(name, counter)
        self.reset_parameters()

    running_mean: Tensor | None
    running_square: Tensor | None
    running_mean_grad: Tensor | None
    running_square_grad: Tensor | None
    num_batches_tracked: Tensor | None
    num_gradients_tracked: Tensor | None
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def reset_running_stats(self) -> None:
        """Reset the statistics: zero mean, unit variance, no gradients, no batches."""
        for buffer in self._buffers.values():
            if buffer is not None:
                buffer.zero_()
        if self.running_square is not None:
            self.running_square.fill_(1)

    def reset_parameters(self) -> None:
        """Reset the statistics, and set weight 1 and bias 0."""
        self.reset_running_stats()
        if self.weight is not None and self.bias is not None:
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() not in self._shapes or x.shape[1] != self.num_features:
            expected = " or ".join(self._shapes.values()).replace("C", str(self.num_features))
            raise ValueError(f"{type(self).__name__} takes {expected}: got {list(x.shape)}")
        if self.running_mean is None or self.running_square is None:
            return normalise(x, self.weight, self.bias, self._no_state(x), (1.0, 0.0), self.eps)
        if self.training:
            return normalise(x, self.weight, self.bias, self._state(), (self.alpha, self.alpha_decay), self.eps)
        # in float64, because the difference cancels
        var = (self.running_square.double() - self.running_mean.double().square()).clamp_(min=0)
        var = var.to(self.running_mean.dtype)
        return F.batch_norm(x, self.running_mean, var, self.weight, self.bias, eps=self.eps)

    def _state(self) -> tuple[Tensor, ...]:
        names = (*BUFFERS[:2], "num_batches_tracked", *BUFFERS[2:], "num_gradients_tracked")
        return tuple(buffer for name in names if (buffer := self._buffers[name]) is not None)

    def _no_state(self, x: Tensor) -> tuple[Tensor, ...]:
        dtype = torch.float64 if x.dtype is torch.float64 else torch.float32
        mu, nu, mu_grad, nu_grad = torch.zeros(4, self.num_features, device=x.device, dtype=dtype)
        batches, gradients = torch.zeros(2, device=x.device, dtype=torch.int64)
        return mu, nu, batches, mu_grad, nu_grad, gradients

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, alpha={self.alpha}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}, alpha_decay={self.alpha_decay}"
        )


class FullNorm1d(FullNorm):
    __doc__ = FullNorm.__doc__
    _shapes: ClassVar[dict[int, str]] = {2: "[N, C]", 3: "[N, C, L]"}


class FullNorm2d(FullNorm):
    __doc__ = FullNorm.__doc__
    _shapes: ClassVar[dict[int, str]] = {4: "[N, C, H, W]"}


class FullNorm3d(FullNorm):
    __doc__ = FullNorm.__doc__
    _shapes: ClassVar[dict[int, str]] = {5: "[N, C, D, H, W]"}
