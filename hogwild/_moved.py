"""Modules of version 0.1 that have moved: their old names work for one more version, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "hogwild.checkpoint": "hogwild.drivers.checkpoints.store",
    "hogwild.environment": "hogwild.runs.environment",
    "hogwild.presets": "hogwild.config.presets",
    "hogwild.progress": "hogwild.runs.console",
    "hogwild.run_directory": "hogwild.runs.directory",
    "hogwild.schedules": "hogwild.config.schedules",
    "hogwild.sharding": "hogwild.tasks.sharding",
}


class Finder:
    """The last finder of sys.meta_path: it is called only for modules that no other finder has found."""

    @staticmethod
    def find_spec(name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """The specification of a module with the attributes of the new one; None for all other names."""
        if name not in MOVED:
            return None
        message = f"{name} is now {MOVED[name]}; the next version removes the old name"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return ModuleSpec(name, Finder())  # type: ignore[arg-type]  # a loader by its methods

    @staticmethod
    def create_module(_spec: ModuleSpec) -> None:
        """Returns None: the default module type."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        new = importlib.import_module(MOVED[module.__name__])
        module.__getattr__ = lambda name: getattr(new, name)  # type: ignore[method-assign]


sys.meta_path.append(Finder)
