"""The work of `hogwild data list`, `check` and `get`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hogwild.errors import DataError
from hogwild.tasks import catalog
from hogwild.tasks.content import read
from hogwild.tasks.download import download
from hogwild.tasks.locate import candidates, is_complete, is_offline, locate, target_folder

if TYPE_CHECKING:
    from hogwild.tasks.data import Data

PathLike = str | os.PathLike[str]


def load_known(source: catalog.Source, folder: Path) -> Data:
    """The data set `source`, read from `folder`."""
    data: Data = importlib.import_module(source.reader).load(source, folder)
    return data


def describe(name: str, data_dir: PathLike | None = None) -> str:
    """Several lines of text: contents, licence, default model, files, URLs and current folder."""
    source = catalog.find(name)
    present = [str(folder) for folder in candidates(source, data_dir) if is_complete(source, folder)]
    lines = [
        f"{source.name}: {source.summary}",
        f"  licence: {source.licence}",
        f"  default model: {source.model}",
        f"  found in: {present[0] if present else 'nowhere yet (hogwild data get ' + name + ')'}",
    ]
    for file in source.files:
        facts = [f"{file.size:,} bytes" if file.size else "", " ".join(file.digest or ()), *file.urls[:1]]
        unpacked = " unpacked:" if file.gzipped else ""
        lines.append(f"  {file.name}{unpacked} {', '.join(fact for fact in facts if fact)}")
    return "\n".join(lines)


def check(name: str, data_dir: PathLike | None = None) -> list[tuple[str, bool, str]]:
    """(file, ok, message) for each file of the data set, and for the whole folder. Downloads nothing."""
    source = catalog.find(name)
    try:
        folder = locate(source, data_dir, fetch=False)
    except DataError as error:
        return [(source.name, False, str(error))]
    results: list[tuple[str, bool, str]] = []
    for file in source.files:
        if any((folder / accepted).is_file() for accepted in file.names):
            try:
                content, path = read(folder, file)
                checked = f"size and {file.digest[0]} right" if file.digest else "readable"
                results.append((str(path), True, f"{len(content):,} bytes, {checked}"))
            except DataError as error:
                results.append((str(folder / file.name), False, str(error)))
    if all(ok for _, ok, _ in results):
        try:
            data = load_known(source, folder)
            shape = "x".join(map(str, data.input_shape))
            facts = f"{len(data.train):,} training and {len(data.test):,} test samples, {shape}, {data.classes} classes"
            results.append((str(folder), True, f"{facts}{'; ' + data.note if data.note else ''}"))
        except DataError as error:
            results.append((str(folder), False, str(error)))
    return results


def get(name: str, data_dir: PathLike | None = None) -> Path:
    """Download what is missing or damaged into `data_dir` (default: the cache) and return that folder.

    Errors: DataError (offline, or no URL delivers the right bytes).
    """
    source = catalog.find(name)
    folder = candidates(source)[0] if source.packaged else target_folder(source, data_dir)
    for file in source.files:
        try:
            read(folder, file)
        except DataError as error:
            if source.packaged:
                raise
            if is_offline():
                raise DataError(f"{file.name}: HOGWILD_OFFLINE is set, nothing is downloaded ({error})") from error
            download(file, folder)
    return folder
