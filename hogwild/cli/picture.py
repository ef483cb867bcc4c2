"""A plot as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hogwild.errors import UsageError
from hogwild.files.reading import reason
from hogwild.files.writing import replacing
from hogwild.text import cut, printable


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
        with replacing(path) as file:
            figure.savefig(file, format=path.suffix.removeprefix(".") or None)
    except (OSError, ValueError, ArithmeticError) as error:
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or reason(error)}") from None


def label(text: str) -> str:
    """`text` as a label that shows every character as it is: none begins a formula, and none hides the label."""
    shown = printable(cut(text, 100)).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown
