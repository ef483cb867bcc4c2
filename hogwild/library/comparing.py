"""`hogwild.simulate` and `hogwild.compare`: runs under a virtual clock, one or many."""

from __future__ import annotations

import copy
import hashlib
import inspect
import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import forkserver
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hogwild import system
from hogwild.algorithms import REGISTRY, Algorithm, registry
from hogwild.drivers.fork_server import deaths_named, die_with_parent, path_kept, preload
from hogwild.errors import DivergedError, HogwildError, UsageError
from hogwild.files.reading import json_lines
from hogwild.files.writing import append, refuse_links, write_atomically, writing
from hogwild.library.fitting import fit
from hogwild.library.result import Result, Row, history
from hogwild.own_code import described, name_of, told
from hogwild.runs.directory import LINKS, RunDirectory
from hogwild.runs.files import to_json
from hogwild.shared.payload import Payload

RESULTS = "runs.jsonl"
GIVEN = {
    "algorithm": "algorithms", "workers": "workers, a list of numbers", "seed": "seeds", "out": "directory",
    "name": "directory", "overwrite": "another directory", "resume": "the same call again, which goes on",
}  # fmt: skip
"""Options of hogwild.fit that the grid sets -> what to give in their place."""

CLOCK = "gamma"
Loss = Callable[[Any, Any], Tensor]
Algorithms = Sequence[str | type[Algorithm]] | Mapping[str, str | type[Algorithm] | Algorithm]


def simulate(
    model: Callable[[], nn.Module] | nn.Module, dataset: Any, loss_fn: Loss | None = None, *, clock: str = CLOCK,
    **options: Any,
) -> Result:  # fmt: skip
    """As hogwild.fit, with the workers simulated in this process under a virtual clock: repeatable bit for bit, for any
    number of workers, and models and functions that no other process could import.

    Args:   clock: "gamma" (execution times of heterogeneous workers), "round-robin", ... (`hogwild list clocks`).
            options: every keyword of hogwild.fit.

    >>> x = torch.eye(4).repeat(8, 1)
    >>> data = ((x, x.argmax(1)), (x, x.argmax(1)))  # to train, and to test
    >>> result = simulate(nn.Linear(4, 4), data, workers=4, epochs=9, batch_size=4, lr=0.5, quiet=True)
    >>> result.summary["test_accuracy"], result.summary["delay"]["max"]
    (1.0, 5)
    """
    return fit(model, dataset, loss_fn, clock=clock, **options)


def compare(
    model: Callable[[], nn.Module] | nn.Module,
    dataset: Any,
    loss_fn: Loss | None = None,
    *,
    algorithms: Algorithms = ("asgd",),
    workers: Sequence[int] = (1, 4, 16),
    seeds: int | Sequence[int] = 3,
    vary: Mapping[str, Sequence[Any]] | None = None,
    clock: str = CLOCK,
    jobs: int | None = None,
    directory: str | PathLike[str] = "runs/compare",
    **options: Any,
) -> list[Row]:
    """Simulates every combination of algorithm, number of workers, seed and values of options, several at a time.

    Returns a row for each evaluation of each run, for pandas.DataFrame(rows): algorithm, workers, seed and the varied
    options; epoch, updates, samples, virtual_s, lr (the option if that is varied, else as the schedule has it) and
    every metric; exit_reason, and `last`, whether it is the run's last row. A run that diverges has the rows up to
    there; one without evaluations has one row, with its train_loss.

    A run that has ended is a line in `directory`/runs.jsonl, and is not made again by a call with the same options and
    the same code of your own algorithms; models and data are not compared, so give another directory for others. A
    function counts by its name.

    Args:   algorithms: names or classes; or a mapping from the name in the rows to a name, a class or an instance.
            workers: numbers of simulated workers. seeds: how many (0, 1, ...), or which.
            vary: option -> values, such as {"lr": [0.1, 0.01]}: every combination is run.
            jobs: runs at a time, in processes of their own, which must be able to import the model and the functions.
            Default: the usable cores. 1: in this process.
            options: every other keyword of hogwild.fit. Each run has its own copy of the callbacks.
    """
    for what, several in {
        "algorithms": algorithms,
        "workers": workers,
        **{f"vary {k}": v for k, v in (vary or {}).items()},
    }.items():
        if isinstance(several, str) or not isinstance(several, Iterable):
            raise UsageError(f"{what} is {described(several)}: give a list of values to compare")
    if jobs is not None and jobs < 0:
        raise UsageError(f"jobs is {jobs}: give the runs at a time, >= 1, or leave it out")
    named = dict(algorithms) if isinstance(algorithms, Mapping) else {_name(one): one for one in algorithms}
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    varied = dict(vary or {})
    if taken := [name for name in GIVEN if name in options or name in varied]:
        raise UsageError(f"{taken[0]} is set by hogwild.compare itself: give {GIVEN[taken[0]]}")
    folder = Path(directory)
    cells = [
        {"algorithm": name, "workers": count, "seed": seed, **dict(zip(varied, values, strict=True))}
        for name, count, *values, seed in itertools.product(named, workers, *varied.values(), numbers)
    ]
    if not cells:
        raise UsageError("there is nothing to compare: give algorithms, workers, seeds and values of vary")
    shared = {"clock": clock, **options}
    runs = {_key(cell, named[cell["algorithm"]], shared): cell for cell in cells}  # what is given twice is run once
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder, LINKS)
    lines = list(_lines(folder))
    write_atomically(folder / RESULTS, "".join(to_json(line) + "\n" for line in lines))  # without a half-written line
    done = {line["key"]: line["rows"] for line in lines}
    work = _Work(model, dataset, loss_fn, named, {**shared, "out": str(folder / "runs"), "overwrite": True})
    todo = [(key, cell) for key, cell in runs.items() if key not in done]
    for key, cell, rows in _run(work, todo, min(jobs or system.cores().usable, max(len(todo), 1))):
        append(folder / RESULTS, to_json({"key": key, **cell, "rows": rows}) + "\n")
        done[key] = rows
    return [{**cell, **row, **_of_schedule(cell)} for key, cell in runs.items() for row in done[key]]


class _Work:
    """What is run for a cell, in any process."""

    def __init__(
        self, model: Any, dataset: Any, loss_fn: Loss | None, algorithms: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        self.model, self.dataset, self.loss_fn = model, dataset, loss_fn
        self.algorithms, self.options = algorithms, options

    def rows(self, key: str, cell: Mapping[str, Any]) -> list[Row]:
        """Trains, and returns the evaluations of the run, with how it ended."""
        values = {**self.options, **cell, "algorithm": self.algorithms[cell["algorithm"]], "name": key}
        values["callbacks"] = _copied(values.get("callbacks", ()))
        try:
            result = fit(self.model, self.dataset, self.loss_fn, **values)
            summary, found = result.summary, result.history
        except DivergedError as error:
            run = RunDirectory.open(Path(str(values["out"])) / key)
            summary, found = {**error.summary, "exit_reason": "diverged"}, history(run.path, run.config(trust=True))
        facts = {name: summary.get(name) for name in ("train_loss", "updates", "samples", "virtual_s")}
        rows = [{**row, "last": False, "exit_reason": summary["exit_reason"]} for row in found or [facts]]
        rows[-1] |= {"last": True, "train_loss": summary.get("train_loss")}
        return rows


def _copied(callbacks: object) -> object:
    """Callbacks of one run: what they keep of a run must not reach another one."""
    try:
        return copy.deepcopy(callbacks)
    except Exception as error:
        raise UsageError(
            f"every run of a comparison has callbacks of its own, and these cannot be copied ({told(error)}): let them "
            "begin what cannot be copied in on_start"
        ) from error


def _name(algorithm: object) -> str:
    if isinstance(algorithm, str):
        return algorithm
    if isinstance(algorithm, type):
        return algorithm.__name__
    raise UsageError(f"algorithms holds {described(algorithm)}: give instances names, algorithms={{name: instance}}")


def _key(cell: Mapping[str, Any], algorithm: object, options: Mapping[str, Any]) -> str:
    """The name of a run: the same for the same values. Functions count by their names, algorithms of the caller's own
    by their code too, other objects by their types alone.
    """
    known = json.dumps([cell, repr(algorithm) + _source(algorithm), options], default=_told, sort_keys=True)
    words = "-".join(_told(value) if callable(value) else str(value) for value in cell.values())
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in words)[:80]
    return f"{safe}-{hashlib.sha256(known.encode()).hexdigest()[:10]}"


def _told(value: object) -> str:
    return name_of(value) if callable(value) else type(value).__name__


def _of_schedule(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """The lr that is varied: that of a row is what the schedule had made of it."""
    return {"lr": cell["lr"]} if "lr" in cell else {}


def _source(algorithm: Any) -> str:
    """The code of an algorithm of the caller's own, which changes between two calls; "" for those that are built in."""
    cls = registry.find(algorithm) if isinstance(algorithm, str) else algorithm
    cls = cls if isinstance(cls, type) else type(cls)
    own = [base for base in cls.__mro__ if issubclass(base, Algorithm) and base is not Algorithm]
    try:
        return "" if cls in REGISTRY.values() else "".join(map(inspect.getsource, own))
    except (OSError, TypeError):  # it was typed in, and is in no file
        return ""


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / RESULTS
    if not path.exists():
        return
    for line in json_lines(path, error=UsageError, drop_partial=True):
        key, rows = line.get("key"), line.get("rows")
        if not (isinstance(key, str) and isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
            raise UsageError(
                f"{path} has a line that is no run of a comparison: move it away, or give another directory"
            )
        yield line


def _run(
    work: _Work, todo: Sequence[tuple[str, Mapping[str, Any]]], jobs: int
) -> Iterator[tuple[str, Mapping[str, Any], list[Row]]]:
    """Each run with its rows, when it has ended."""
    if jobs == 1 or not todo:
        yield from ((key, cell, work.rows(key, cell)) for key, cell in todo)
        return
    try:
        payload = Payload(work, "the model and the data set, for the processes of a comparison")
    except HogwildError:
        raise
    except Exception as error:  # the caller's own code
        raise UsageError(
            f"other processes cannot import the model, the data or a function ({told(error)}): define them at module "
            "level in a file, or give jobs=1"
        ) from error
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload())
    with path_kept():
        forkserver.ensure_running()
    with deaths_named(), ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(payload,)) as pool:
        futures = {pool.submit(_rows, key, cell): (key, cell) for key, cell in todo}
        try:
            for future in as_completed(futures):
                yield (*futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(payload: Payload) -> None:
    die_with_parent()  # else the same command, given again at once, finds its runs in use
    torch.set_num_threads(1)
    globals()["_work"] = payload.load()


def _rows(key: str, cell: Mapping[str, Any]) -> list[Row]:
    work: _Work = globals()["_work"]
    return work.rows(key, cell)
