"""hogwild: asynchronous SGD on one machine, with every published cure for stale gradients.

python -m hogwild.train                      the command line (also: hogwild train)
hogwild.fit(model, dataset, ...)             train from Python
hogwild.launch(fn, model_fn, ...)            your own loop in every worker
hogwild.simulate(...), hogwild.compare(...)  simulated workers: one run, many runs
hogwild.metrics                              metrics for fit
hogwild.load(run, "best")                    the weights in a checkpoint
hogwild.Callback, EarlyStopping, EMA         what the parent does on copies of the model
hogwild.register(cls)                        an algorithm of your own by its name
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hogwild import _moved as _moved

if TYPE_CHECKING:
    from hogwild import metrics as metrics
    from hogwild.algorithms.registry import register as register
    from hogwild.library import EMA as EMA
    from hogwild.library import Callback as Callback
    from hogwild.library import EarlyStopping as EarlyStopping
    from hogwild.library import Info as Info
    from hogwild.library import Interrupted as Interrupted
    from hogwild.library import Result as Result
    from hogwild.library import Run as Run
    from hogwild.library import Worker as Worker
    from hogwild.library import compare as compare
    from hogwild.library import fit as fit
    from hogwild.library import launch as launch
    from hogwild.library import load as load
    from hogwild.library import simulate as simulate

__version__ = "0.2.0"
__all__ = [
    "EMA", "Callback", "EarlyStopping", "Info", "Interrupted", "Result", "Run", "Worker", "compare", "fit", "launch",
    "load", "register", "simulate",
]  # fmt: skip
_HOMES = {"register": "hogwild.algorithms.registry"}


def __getattr__(name: str) -> Any:
    """The library is loaded when it is first used: `--help` must not wait for torch."""
    if name == "metrics":
        return importlib.import_module("hogwild.metrics")
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "hogwild.library")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
