"""The metrics of one evaluation, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hogwild.errors import HogwildError, UsageError
from hogwild.metrics import meter
from hogwild.own_code import described, told


class Meters:
    """Begins all `metrics` afresh; `update` takes a batch, `compute` gives the values.

    UsageError, in one line with the name of the metric, if one fails: metrics are the caller's own code.
    """

    def __init__(self, metrics: Mapping[str, object], device: torch.device) -> None:
        self._meters = {name: meter(name, metric) for name, metric in metrics.items()}
        for one in self._meters.values():
            one.reset()
            if callable(to := getattr(one, "to", None)):  # those of torchmetrics count where the outputs are
                to(device)

    def update(self, outputs: Any, targets: Any) -> None:
        if self._meters and outputs is None:
            raise UsageError("metrics compare outputs, and step_fn returns none: let it return (loss, outputs)")
        for name, one in self._meters.items():
            try:
                one.update(outputs, targets)
            except Exception as error:
                raise _failed(name, error) from error

    def compute(self) -> dict[str, float]:
        """Every metric; one that computes a mapping gives each of its values, as name_key."""
        found: dict[str, float] = {}
        for name, one in self._meters.items():
            try:
                value = one.compute()
            except Exception as error:
                raise _failed(name, error) from error
            several = value if isinstance(value, Mapping) else {"": value}
            for key, number in several.items():
                full = f"{name}_{key}" if key else name
                if full in found:
                    raise UsageError(f"two metrics are called {full}: call one of them otherwise")
                try:
                    found[full] = float(number)
                except (TypeError, ValueError, RuntimeError):
                    raise UsageError(
                        f"metric {full} computed {described(number)}; it must be one number: let it average"
                    ) from None
        return found


def _failed(name: str, error: Exception) -> HogwildError:
    text = str(error) if isinstance(error, HogwildError) else told(error)
    return UsageError(f"metric {name} fails: {text}")
