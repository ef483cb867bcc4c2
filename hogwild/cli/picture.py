"""A plot as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hogwild.errors import UsageError


def save(path: Path, paint: Callable[[Any], None]) -> None:
    """Write the picture that `paint` draws on one matplotlib axes.

    Raises UsageError without matplotlib, or if the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("a picture needs matplotlib: pip install 'hogwild[plot]'") from None
    figure = Figure(figsize=(6, 4), layout="constrained")
    paint(figure.subplots())
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
