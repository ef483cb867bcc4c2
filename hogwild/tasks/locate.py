"""Finds the folder that holds the files of a data set, and explains which files are missing."""

from __future__ import annotations

import os
from pathlib import Path

from hogwild.errors import DataError
from hogwild.files.places import user_folder
from hogwild.tasks.catalog import Source
from hogwild.tasks.download import download

ASSETS = Path(__file__).parent / "assets"


def cache_root() -> Path | None:
    """$XDG_CACHE_HOME/hogwild, by default ~/.cache/hogwild: downloads and decoded images. None without a home."""
    return user_folder("XDG_CACHE_HOME", "~/.cache")


def candidates(source: Source, data_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """The folders that are searched, in this order: data_dir, $HOGWILD_DATA, the cache."""
    if source.packaged:
        return [ASSETS]
    names = (source.name, *source.folders)
    folders: list[Path] = []
    if data_dir is not None:
        folders += [Path(data_dir), *(Path(data_dir) / name for name in names)]
    if os.environ.get("HOGWILD_DATA"):
        folders += [Path(os.environ["HOGWILD_DATA"]) / name for name in names]
    root = cache_root()
    return folders if root is None else [*folders, root / source.name]


def is_complete(source: Source, folder: Path) -> bool:
    """Whether `folder` has all files of one form of the data set. Only names are compared; no file is opened."""
    published = all(any((folder / name).is_file() for name in file.names) for file in source.files)
    return published or any(all((folder / name).exists() for name in names) for names in source.variants)


def locate(source: Source, data_dir: str | os.PathLike[str] | None = None, *, fetch: bool = True) -> Path:
    """The first folder that holds the data set. If there is none, downloads it if `fetch` and HOGWILD_OFFLINE allow it.

    Errors: DataError naming the missing files, the folders that were searched, and the URLs.
    """
    folders = candidates(source, data_dir)
    for folder in folders:
        if is_complete(source, folder):
            return folder
    target = target_folder(source, data_dir)
    if source.packaged or not fetch or is_offline():
        raise DataError(_not_found(source, folders, target))
    for file in source.files:
        if not any((target / name).is_file() for name in file.names):
            download(file, target)
    return target


def target_folder(source: Source, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where a download goes: data_dir, else the cache."""
    if data_dir is not None:
        return Path(data_dir)
    if not (folders := candidates(source)):
        raise DataError(f"{source.name}: no home directory to keep it in: set HOME, HOGWILD_DATA or --data-dir")
    return folders[-1]


def is_offline() -> bool:
    """Whether HOGWILD_OFFLINE forbids downloads: it is set, and neither empty nor 0."""
    return os.environ.get("HOGWILD_OFFLINE", "") not in ("", "0")


def _not_found(source: Source, folders: list[Path], target: Path) -> str:
    best = max(folders, key=lambda folder: sum((folder / file.name).is_file() for file in source.files))
    missing = [file for file in source.files if not any((best / name).is_file() for name in file.names)]
    names = ", ".join(file.name for file in missing)
    looked = ", ".join(str(folder) for folder in folders)
    if source.packaged:
        return f"{source.name}: {names} is missing from {looked}; install hogwild again"
    why = "HOGWILD_OFFLINE is set" if is_offline() else "downloads are switched off"
    urls = " ".join(file.urls[0] for file in missing)
    pickles = [str(folder / name) for folder in folders for name in source.pickles if (folder / name).exists()]
    refused = f" {pickles[0]} is not read: it is a Python pickle, which runs code when it is read." if pickles else ""
    return (
        f"{source.name}: {names} not found (looked in {looked}; {why}).{refused} "
        f"Put the {len(source.files)} file(s) into {target} or set HOGWILD_DATA; sources: {urls}"
    )
