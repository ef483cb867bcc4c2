"""Runs the computations of the figures on all cores. Each result is stored when it ends, and shared between figures."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from hogwild.drivers.fork_server import deaths_named, die_with_parent, path_kept
from hogwild.errors import UsageError
from hogwild.files.reading import json_lines, reading
from hogwild.files.writing import append, write_atomically
from hogwild.runs.files import to_json
from hogwild.tasks.catalog import find
from hogwild.tasks.locate import candidates, is_complete

RESULTS = "results.jsonl"
Case = Mapping[str, Any]


@dataclass
class Study:
    """The settings of a computation (scale, seed, processes) and its results so far, in `folder`/results.jsonl.

    The key of a result is the function with all of its arguments. Figures that need the same result share it, and an
    interrupted study continues where it stopped. The key does not cover the code: delete the file after changing it.
    """

    scale: str
    seed: int
    folder: Path
    jobs: int = 1
    _known: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / RESULTS
        self._known = {}
        if path.exists():
            with reading(path, "a file of results", error=UsageError, remedy="Move it away."):
                lines = list(json_lines(path, error=UsageError, drop_partial=True))
                self._known = {entry["key"]: entry["result"] for entry in lines}
            write_atomically(path, "".join(to_json(line) + "\n" for line in lines))  # without a half-written line

    @cached_property
    def data(self) -> str:
        """Fashion-MNIST where it is on this machine, else digits; nothing is downloaded."""
        source = find("fashion_mnist")
        return source.name if any(is_complete(source, folder) for folder in candidates(source)) else "digits"

    def run(self, work: Callable[..., Any], cases: Iterable[Case]) -> list[Any]:
        """work(**case) for every case, in order. `work` is a module-level function; cases and results are JSON values.

        If a case raises, its result is not stored, and the error is raised here after the other cases have ended.
        """
        keyed = [(_key(work, case), case) for case in cases]
        todo = {key: case for key, case in keyed if key not in self._known}
        if min(self.jobs, len(todo)) <= 1:
            for key, case in todo.items():
                self._keep(key, work(**case))
        else:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["torch", work.__module__])
            with path_kept():
                forkserver.ensure_running()
            with (
                deaths_named(),
                ProcessPoolExecutor(self.jobs, mp_context=context, initializer=die_with_parent) as pool,
            ):
                futures = {pool.submit(work, **case): key for key, case in todo.items()}
                try:
                    for future in as_completed(futures):
                        self._keep(futures[future], future.result())
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        return [self._known[key] for key, _ in keyed]

    def _keep(self, key: str, result: Any) -> None:
        plain = json.loads(to_json(result))  # equal to the result as it will be read from the file
        self._known[key] = plain
        append(self.folder / RESULTS, to_json({"key": key, "result": plain}) + "\n")


def _key(work: Callable[..., Any], case: Case) -> str:
    return f"{work.__module__}.{work.__name__} {to_json(dict(sorted(case.items())))}"
