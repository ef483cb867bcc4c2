"""Full Normalization for compiled models: its kernels take addresses, which torch.compile cannot trace."""

from __future__ import annotations

import torch

from hogwild.nn.full_norm_autograd import Normalise

apply = torch.compiler.disable(Normalise.apply)  # type: ignore[no-untyped-call]
