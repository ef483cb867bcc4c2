"""One directory per run: what was asked (config.yaml), where (env.json), what happened (metrics.jsonl, summary.json).

Only the parent process writes here, workers/<rank>.log excepted. The directory is locked while a run is in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from hogwild.config import Config, read_yaml
from hogwild.errors import CheckpointError, DataError, HogwildError, UsageError
from hogwild.files.writing import append, refuse_links, write_atomically
from hogwild.runs import trust as made_here
from hogwild.runs.environment import environment
from hogwild.runs.files import read_json, to_json
from hogwild.runs.journal import SCHEMA, Journal, JsonLines, mend
from hogwild.runs.sinks import TABLE, TENSORBOARD, check_installed, sinks_of

FOLDERS = ("workers", "ckpt", "plots")
DONE = "done"
STOPPED = "stopped"  # by a callback
REFUSALS = (UsageError, DataError, CheckpointError, KeyboardInterrupt)
LINKS = ("last", "best")  # of checkpoints, which lead to a name beside them
METRICS = "metrics.jsonl"
TIMELINE = "timeline.bin"
LOG = "log.txt"
FIRST = ("config.yaml", made_here.RECIPE, made_here.STAMP, "env.json")  # files, in this order


class RunDirectory:
    """An open run directory and the writers of its files. `create` or `resume` one to write, `open` one to read.

    `journal` takes the events of the run; they are the lines of metrics.jsonl.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workers = path / "workers"
        self.ckpt = path / "ckpt"
        self.plots = path / "plots"
        self._lock: int | None = None
        self._asked: Config | None = None  # what config.yaml is yet to say
        self._recipe: Mapping[str, object] | None = None  # what library.json is yet to say
        self._is_new = self._has_begun = False
        self.journal = self._journal(0.0)

    @classmethod
    def create(cls, config: Config, recipe: Mapping[str, object] | None = None) -> RunDirectory:
        """A new directory below `config.out`, locked. UsageError if it holds a run and `overwrite` is not set.

        `recipe`: what a program gave to the library beside the options, functions by their names (`read_recipe`).
        """
        check_installed(config)
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
        run.journal.sinks += sinks_of(config, path)
        run.journal.opening = _opening("started", config)
        run._recipe = recipe
        run._describe(config)
        return run

    @classmethod
    def begin(cls, config: Config, recipe: Mapping[str, object] | None = None) -> RunDirectory:
        """`resume`, if `config.resume` names a run; else `create`: also for a box that is new in a run of others."""
        if config.resume is not None and is_run(Path(config.resume)):
            return cls.resume(config, recipe)
        return cls.create(config, recipe)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run, to read. UsageError if `path` is none."""
        path = Path(path)
        if not is_run(path):
            raise UsageError(f"{path} is not a run directory (it has no config.yaml and env.json)")
        return cls(path)

    @classmethod
    def resume(cls, config: Config, recipe: Mapping[str, object] | None = None) -> RunDirectory:
        """The run `config.resume`, locked, to go on in: lines are appended; with the first of them `config` replaces
        config.yaml, so that a request which cannot be met changes nothing. So does `recipe`, if it is given. Of a
        simulated run the lines are written anew, from its beginning.
        """
        if config.resume is None:
            raise ValueError("config.resume names no run")
        check_installed(config)
        run = cls.open(config.resume)
        refuse_links(run.path, LINKS)
        run._take_lock()
        run.journal = run._journal(mend(run.path / METRICS) if config.clock is None else 0.0)
        run.journal.sinks += sinks_of(config, run.path)
        run.journal.opening = _opening("resumed" if config.clock is None else "started", config)
        run._asked, run._recipe = config, recipe
        return run

    def config(self, *, trust: bool = False) -> Config:
        """What config.yaml says. UsageError if it names own code, was made elsewhere, and `trust` is not set."""
        return Config.from_values(self.values(trust=trust))

    def values(self, *, trust: bool = False) -> dict[str, object]:
        """The same as flat values, of which nothing has been imported."""
        values = read_yaml(self.path / "config.yaml")
        if not trust:
            made_here.require_trust(self.path, values)
        return values

    def read_recipe(self) -> dict[str, Any]:
        """What the program gave to the library beside the options; {} for a run of the command line."""
        return read_json(self.path / made_here.RECIPE)

    def summary(self, values: Mapping[str, object]) -> None:
        """Write summary.json, whole or not at all."""
        write_atomically(self.path / "summary.json", to_json(values, indent=2) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """The last summary; {} if the run never came to one."""
        return read_json(self.path / "summary.json")

    def log(self, line: str) -> None:
        append(self.path / LOG, f"{datetime.now().isoformat(sep=' ', timespec='milliseconds')} {line}\n")

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
        """Close the journal and give the lock back. The directory stays readable."""
        try:
            self.journal.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _journal(self, before_s: float) -> Journal:
        return Journal(JsonLines(self.path / METRICS, before_first=self._begin), before_s=before_s)

    def _begin(self) -> None:
        """The first event of this process is about to be written."""
        if self._asked is not None:
            if self._asked.clock is not None:
                self._clear()
            self._describe(self._asked)
        self._has_begun = True

    def _clear(self) -> None:
        """Removes what a run that is repeated writes anew."""
        for name in (METRICS, TABLE, TIMELINE):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / TENSORBOARD, ignore_errors=True)

    def _describe(self, config: Config) -> None:
        asked = dataclasses.replace(config, resume=None, ckpt="last", overwrite=False)
        write_atomically(self.path / "config.yaml", f"# run it again: hogwild train --config FILE\n{asked.yaml()}")
        if self._recipe is not None:
            write_atomically(self.path / made_here.RECIPE, to_json(self._recipe, indent=2) + "\n")
        made_here.stamp(self.path, asked.values())
        write_atomically(self.path / "env.json", to_json({**environment(), "seed": config.seed}, indent=2) + "\n")
        self._asked = None

    def _take_lock(self) -> None:
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UsageError(f"{self.path} is in use by another process: wait, or choose another --name") from None


def _opening(event: str, config: Config) -> dict[str, object]:
    """The event of kind run with which this process begins. A simulated run writes nothing of the day."""
    facts = {"event": event, "schema": SCHEMA, "clock": "wall" if config.clock is None else "virtual"}
    return facts if config.clock is not None else {**facts, "unix": round(time.time(), 3)}


def is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file() and "hogwild" in read_json(path / "env.json")


def is_in_use(path: Path) -> bool:
    """Whether a process holds the lock of the run directory `path`. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _new_path(config: Config) -> Path:
    """The directory, made: of the given name, or of a name that is not taken."""
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
    if not (is_run(path) or _was_cut_off(path)) or path.is_symlink():
        raise UsageError(f"{path} exists and is not a run of hogwild: it is left alone. Choose another --name.")
    if not overwrite:
        finished = read_json(path / "summary.json").get("exit_reason") == DONE
        state = "a finished run" if finished else "an unfinished run"
        raise UsageError(f"{path} already holds {state}. Choose another --name, or --resume {path}, or --overwrite.")
    old = RunDirectory(path)
    old._take_lock()
    old.discard()


def _was_cut_off(path: Path) -> bool:
    """Whether it is a run that was killed as it began: our empty folders, and no files but those that come first."""
    entries = list(path.iterdir())
    folders = [entry for entry in entries if entry.name in FOLDERS and entry.is_dir() and not any(entry.iterdir())]
    files = [entry.name for entry in entries if entry not in folders]
    return not files or (len(folders) == len(FOLDERS) and all(map(_comes_first, files)))


def _comes_first(name: str) -> bool:
    return name in FIRST or any(name.startswith(f".{file}.") and name.endswith(".tmp") for file in FIRST)
