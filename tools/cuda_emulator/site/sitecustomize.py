"""Runs in every Python process of an emulated run: gives torch emulated GPUs on import, and hogwild its extension."""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


class Emulated(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name == "hogwild._C":
            return spec_from_file_location(name, os.environ["HOGWILD_EMULATED_EXTENSION"])
        if name != "torch":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_install(module: ModuleType) -> None:
                execute(module)
                import torch_cuda

                torch_cuda.install()

            spec.loader.exec_module = execute_and_install  # type: ignore[method-assign]
        return spec


if "HOGWILD_EMULATOR" in os.environ:
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    sys.meta_path.insert(0, Emulated())
