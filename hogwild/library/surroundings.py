"""The program that calls the library: whether worker processes can import what it defines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from multiprocessing import process
from pathlib import Path

from hogwild.errors import UsageError
from hogwild.own_code import require_not_importing
from hogwild.runs.console import in_notebook


def require_main(call: str) -> None:
    """Ends this process quietly if it is a worker that imports the script whose call, such as hogwild.fit, is not under
    a guard: the parent then tells so. UsageError if a command imports that script.
    """
    require_not_importing(call)
    if getattr(process.current_process(), "_inheriting", False):
        sys.exit(1)


def require_importable(functions: Mapping[str, object]) -> None:
    """UsageError if worker processes cannot import one of the functions, by their names as arguments: it was defined in
    a notebook, on standard input or in python -c.
    """
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if file is not None and Path(file).is_file():
        return
    for name, function in functions.items():
        while isinstance(function, partial):
            function = function.func
        if getattr(function, "__module__", None) == "__main__":
            what = getattr(function, "__qualname__", type(function).__qualname__)
            raise UsageError(f"worker processes cannot import {name} {what}, which was defined {_where(file)}")
    if file is not None:  # each worker imports the main script first
        raise UsageError(f"worker processes cannot import this program, which was read from {file}: save it in a file")


def _where(file: str | None) -> str:
    simulate = 'or give clock="gamma", which simulates the workers in this process'
    if in_notebook():
        return (
            f"in a cell: put it into a file (%%writefile mine.py above the cell, then from mine import it), {simulate}"
        )
    source = "in python -c or at a prompt" if file is None else "on standard input"
    return f"{source}: save the program in a file, {simulate}"
