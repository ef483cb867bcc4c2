"""Places beside metrics.jsonl to which a run may write its events: a table of its evaluations, and TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hogwild.errors import HogwildError, UsageError
from hogwild.files.reading import TABLE_BYTES, read_bytes, reading
from hogwild.files.writing import is_full, write_atomically
from hogwild.runs.journal import TIME_DIGITS, Event, Sink

if TYPE_CHECKING:
    from hogwild.config import Config

TABLE, TENSORBOARD = "evaluations.csv", "tb"
PLOTTED = ("train", "eval", "edge")
LEFT_OUT = ("interval", "s")  # histograms, and how long the measurement took


def sinks_of(config: Config, run: Path) -> list[Sink]:
    """The places that `config` asks for, in the run directory `run`."""
    return [
        *([Table(run / TABLE)] if config.csv else []),
        *([TensorBoard(run / TENSORBOARD, config.yaml())] if config.tb else []),
    ]


def check_installed(config: Config) -> None:
    """UsageError if `tb` asks for a TensorBoard that is not installed."""
    if config.tb:
        _summary_writer()


class Table:
    """A table with a row for each evaluation, its columns the numbers that any of them has: empty where one has none.

    It is written anew with each row, whole or not at all; on a full disk that waits for the next row. A resumed run
    goes on in its table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] | None = None

    def write(self, event: Event) -> None:
        if event.kind != "eval":
            return
        if self._rows is None:
            self._rows = self._found()
        values = {name: value for name, value in event.values.items() if name not in LEFT_OUT}
        self._rows.append({"time": round(event.time, TIME_DIGITS), **values})
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows)
        try:
            write_atomically(self.path, text.getvalue())
        except HogwildError as error:
            if not is_full(error.__cause__):
                raise

    def close(self) -> None:
        """Nothing is open between two rows."""

    def _found(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        data = read_bytes(self.path, TABLE_BYTES, regular=True)
        with reading(self.path, "a table of evaluations", remedy="Move it away to go on"):
            return list(csv.DictReader(io.StringIO(data.decode())))


class TensorBoard:
    """The numbers of events of kinds train, eval and edge as scalars `kind/name` over the number of updates, and the
    configuration `text`.

    One process writes, the parent: several writers in one directory lose data. UsageError if TensorBoard is absent.
    """

    def __init__(self, folder: Path, text: str = "") -> None:
        self.folder, self._text = folder, text
        self._open = _summary_writer()
        self._writer: Any = None

    def write(self, event: Event) -> None:
        if event.kind not in PLOTTED:
            return
        if self._writer is None:
            self._writer = self._open(str(self.folder))
            self._writer.add_text("config", "".join(f"    {line}\n" for line in self._text.splitlines()))  # Markdown
        step = event.values.get("updates")
        for name, value in _numbers(event.values):
            if name != "updates":
                self._writer.add_scalar(f"{event.kind}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if name in LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}_")
            continue
        with contextlib.suppress(TypeError, ValueError):
            yield prefix + name, float(value)


def _summary_writer() -> Any:
    """That of TensorBoard, or else of tensorboardX, which writes the same and is a twentieth of its size."""
    missing = []
    for module in ("torch.utils.tensorboard", "tensorboardX"):
        try:
            return importlib.import_module(module).SummaryWriter
        except ImportError as error:
            missing.append(error)
    raise UsageError(f"tb needs TensorBoard ({missing[0]}): pip install tensorboard or tensorboardX, or leave --tb out")
