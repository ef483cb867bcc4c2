"""hogwild as a library: `fit` trains a model on a data set; `launch` runs your own loop in every worker; `simulate`
and `compare` train with simulated workers.

As in any multiprocessing program, the model and the functions must be at module level in a file, and the call under `if
__name__ == "__main__"`.
"""

from hogwild.drivers.callbacks.callback import Callback as Callback
from hogwild.drivers.callbacks.callback import Run as Run
from hogwild.drivers.callbacks.early_stopping import EarlyStopping as EarlyStopping
from hogwild.drivers.callbacks.ema import EMA as EMA
from hogwild.drivers.instruments.evaluator import Info as Info
from hogwild.drivers.processes.handle import Handle as Worker
from hogwild.library.comparing import compare as compare
from hogwild.library.comparing import simulate as simulate
from hogwild.library.fitting import fit as fit
from hogwild.library.launching import launch as launch
from hogwild.library.loading import load as load
from hogwild.library.result import Interrupted as Interrupted
from hogwild.library.result import Result as Result

__all__ = [
    "EMA", "Callback", "EarlyStopping", "Info", "Interrupted", "Result", "Run", "Worker", "compare", "fit", "launch",
    "load", "simulate",
]  # fmt: skip
