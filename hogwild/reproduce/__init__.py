"""Figures of papers, computed again: `hogwild reproduce FIG`. Listing their names needs neither torch nor numpy."""

from __future__ import annotations

import importlib

from hogwild.options import unknown
from hogwild.reproduce.figure import Figure

REGISTRY = {
    "fig1": "hogwild.reproduce.lr_scan",
    "fig2": "hogwild.reproduce.escape",
    "fig3": "hogwild.reproduce.lr_scan",
    "fig4": "hogwild.reproduce.thresholds",
    "fig5": "hogwild.reproduce.large_batch",
    "fig6": "hogwild.reproduce.thresholds",
    "fig7": "hogwild.reproduce.random_delay",
    "fig8": "hogwild.reproduce.random_delay",
    "fig9": "hogwild.reproduce.large_batch",
    "fig10": "hogwild.reproduce.thresholds",
    "fig11": "hogwild.reproduce.spikes",
    "fig12": "hogwild.reproduce.escape",
    "fig13": "hogwild.reproduce.lr_scan",
    "admm": "hogwild.reproduce.averaging",
    "periods": "hogwild.reproduce.averaging",
    "full-norm": "hogwild.reproduce.full_norm",
    "delayed-rules": "hogwild.reproduce.delayed_rules",
    "delayed-text": "hogwild.reproduce.delayed_rules",
    "delayed-tables": "hogwild.reproduce.delayed_tables",
    **{f"choose-{number}": "hogwild.reproduce.choices" for number in range(1, 10)},
    "boxes": "hogwild.reproduce.boxes",
}
"""Name of a figure -> the module with this figure in FIGURES. fig1 ... fig13 are from Giladi et al. 2020, At
Stability's Edge; admm and periods from Zhang et al. 2015, Deep learning with Elastic Averaging SGD; full-norm from
Lian and Liu 2019; delayed-rules, -text, -tables, boxes and choose-1 ... choose-9, which method when, are ours.
"""


def find(name: str) -> Figure:
    """The figure `name`; a bare number N means figN. Raises UsageError if there is no such figure."""
    known = f"fig{name}" if name.isdigit() else name
    if known not in REGISTRY:
        raise unknown("figure", name, REGISTRY)
    figures: tuple[Figure, ...] = importlib.import_module(REGISTRY[known]).FIGURES
    return next(figure for figure in figures if figure.name == known)
