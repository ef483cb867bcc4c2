"""One thread everywhere: with more, torch on a busy machine is tens of times slower, and tests are about results."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
