"""One directory per run: what was asked (config.yaml), where (env.json), what happened (metrics.jsonl, summary.json).

Only the parent process writes here, workers/<rank>.log excepted. The directory is locked while a run is in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from hogwild.config import Config, read_yaml
from hogwild.runs.environment import environment
from hogwild.errors import CheckpointError, DataError, HogwildError, UsageError
from hogwild.files.reading import SMALL_BYTES, parse_json, read_json, read_tail
from hogwild.files.writing import append, refuse_links, write_atomically, writing
from hogwild.runs import trust as made_here

FOLDERS = ("workers", "ckpt", "plots")
DONE = "done"
REFUSALS = (UsageError, DataError, CheckpointError, KeyboardInterrupt)
LINKS = ("last", "best")  # of checkpoints, which lead to a name beside them
TIME_LIMIT_S = 1e15
TAIL_BYTES = 16 << 20  # in which the last whole line of metrics.jsonl is looked for


class RunDirectory:
    """An open run directory and the writers of its files. `create` or `resume` one to write, `open` one to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workers = path / "workers"
        self.ckpt = path / "ckpt"
        self.plots = path / "plots"
        self._lock: int | None = None
        self._asked: Config | None = None  # what config.yaml is yet to say
        self._is_new = self._has_begun = False
        self._before_s = 0.0
        self.use_clock(time.monotonic)

    @classmethod
    def create(cls, config: Config) -> RunDirectory:
        """A new directory below `config.out`, locked. UsageError if it holds a run and `overwrite` is not set."""
        try:
            path = _new_path(config)
            if any(path.iterdir()):
                _make_room(path, config.overwrite)
            for folder in FOLDERS:
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            place = error.filename or config.out
            raise UsageError(f"cannot make the run directory {place}: {error.strerror}; choose another --out") from None
        run = cls(path)
        run._take_lock()
        run._is_new = True
        run._describe(config)
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run, to read. UsageError if `path` is none."""
        path = Path(path)
        if not is_run(path):
            raise UsageError(f"{path} is not a run directory (it has no config.yaml and env.json)")
        return cls(path)

    @classmethod
    def resume(cls, config: Config) -> RunDirectory:
        """The run `config.resume`, locked, to go on in: lines are appended; with the first of them `config` replaces
        config.yaml, so that a request which cannot be met changes nothing.
        """
        if config.resume is None:
            raise ValueError("config.resume names no run")
        run = cls.open(config.resume)
        refuse_links(run.path, LINKS)
        run._take_lock()
        run._before_s = _mend(run.path / "metrics.jsonl")
        run._asked = config
        return run

    def config(self, *, trust: bool = False) -> Config:
        """What config.yaml says. UsageError if it names own code, was made elsewhere, and `trust` is not set."""
        values = read_yaml(self.path / "config.yaml")
        if not trust:
            made_here.require_trust(self.path, values)
        return Config.from_values(values)

    def metrics(self, kind: str, **values: object) -> None:
        """Append one line {"kind": kind, "time": seconds since the start, ...} to metrics.jsonl, at once.

        NaN and infinity become null: they are not JSON.
        """
        if self._asked is not None:
            self._describe(self._asked)
        self._has_begun = True
        self._append("metrics.jsonl", to_json({"kind": kind, "time": round(self.elapsed_s(), 6), **values}))

    def use_clock(self, clock: Callable[[], float]) -> None:
        """What the time in metrics lines is read from, in seconds; the simulator gives its virtual time."""
        self._clock, self._start = clock, clock()

    def elapsed_s(self) -> float:
        """Seconds of this run so far, earlier parts of a resumed run included."""
        return self._before_s + self._clock() - self._start

    def summary(self, values: Mapping[str, object]) -> None:
        """Write summary.json, whole or not at all."""
        write_atomically(self.path / "summary.json", to_json(values, indent=2) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """The last summary; {} if the run never came to one."""
        return _read_json(self.path / "summary.json")

    def log(self, line: str) -> None:
        self._append("log.txt", f"{datetime.now().isoformat(sep=' ', timespec='milliseconds')} {line}")

    def worker_log(self, rank: int) -> Path:
        return self.workers / f"{rank}.log"

    def fail(self, error: BaseException, facts: Mapping[str, object]) -> dict[str, object] | None:
        """Write how the run ended, and return that summary: `facts`, what the error knows, and the error itself.

        None if it could not even begin: then a new directory is removed, and a resumed run stays as it was.
        """
        if not self._has_begun and isinstance(error, REFUSALS):
            if self._is_new:
                self.discard()
            return None
        known = error.summary if isinstance(error, HogwildError) else {}
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_reason", "failed")
        summary = {**facts, **known, "exit_reason": reason, "error": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(HogwildError):  # a full disk must not hide what happened
            self.log(f"{reason}: {error}")
            self.summary(summary)
        return summary

    def discard(self) -> None:
        """Remove the directory."""
        self.close()
        shutil.rmtree(self.path)

    def close(self) -> None:
        """Give the lock back. The directory stays readable."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _describe(self, config: Config) -> None:
        asked = dataclasses.replace(config, resume=None, ckpt="last", overwrite=False)
        write_atomically(self.path / "config.yaml", f"# run it again: hogwild train --config FILE\n{asked.yaml()}")
        made_here.stamp(self.path, asked.values())
        write_atomically(self.path / "env.json", to_json({**environment(), "seed": config.seed}, indent=2) + "\n")
        self._asked = None

    def _append(self, name: str, line: str) -> None:
        append(self.path / name, line + "\n")

    def _take_lock(self) -> None:
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UsageError(f"{self.path} is in use by another process: wait, or choose another --name") from None


def is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file() and "hogwild" in _read_json(path / "env.json")


def to_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON; NaN and infinity become null, arrays and tensors of one element numbers, paths text."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _new_path(config: Config) -> Path:
    """The directory, made: of the given name, or of a name that nobody else has taken."""
    if config.name is not None:
        path = Path(config.out) / config.name
        path.mkdir(parents=True, exist_ok=True)
        return path
    parts = (f"{datetime.now():%Y-%m-%d_%H-%M-%S}", config.data, config.algorithm)
    stem = re.sub(r"[^\w.-]", "-", "_".join(parts))
    for n in count(1):
        path = Path(config.out) / (f"{stem}~{n}" if n > 1 else stem)
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            break
    return path


def _make_room(path: Path, overwrite: bool) -> None:
    if not is_run(path) or path.is_symlink():
        raise UsageError(f"{path} exists and is not a run of hogwild: it is left alone. Choose another --name.")
    if not overwrite:
        finished = _read_json(path / "summary.json").get("exit_reason") == DONE
        state = "a finished run" if finished else "an unfinished run"
        raise UsageError(f"{path} already holds {state}. Choose another --name, or --resume {path}, or --overwrite.")
    old = RunDirectory(path)
    old._take_lock()
    old.discard()


def _mend(metrics: Path) -> float:
    """Cut off what a crash left half written at the end, and return the time of the last whole line."""
    if not metrics.exists():
        return 0.0
    tail, start = read_tail(metrics, TAIL_BYTES, error=UsageError)
    lines = tail.splitlines(keepends=True)
    whole = len(lines)
    while whole and (time_s := _time_of(lines[whole - 1])) is None:
        whole -= 1
    if start and not whole:
        raise UsageError(f"{metrics} has no whole line in its last {TAIL_BYTES:,} bytes: move it away to go on")
    with writing(metrics):
        os.truncate(metrics, start + sum(map(len, lines[:whole])))
    return time_s or 0.0 if whole else 0.0


def _time_of(line: bytes) -> float | None:
    """The time in a whole line; None for anything else."""
    if not line.endswith(b"\n") or len(line) > SMALL_BYTES:
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        time_s = float(parse_json(line)["time"])
        return time_s if 0 <= time_s < TIME_LIMIT_S else None
    return None


def _read_json(path: Path) -> dict[str, Any]:
    with contextlib.suppress(HogwildError):
        values = read_json(path)
        return values if isinstance(values, dict) else {}
    return {}
