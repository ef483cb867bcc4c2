"""Whether a run was made by this user: only then is code of its own imported without being asked.

A configuration may name Python code (`--model module:function`). Whoever gives a run directory away could name any
module that lies on the importer's path. So a run that names own code is stamped with a keyed digest of these names; the
key is random, and lies in the user's state folder ($XDG_STATE_HOME/hogwild, by default ~/.local/state/hogwild). A run
without a valid stamp needs --trust. Registered names are part of the package and need neither.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from hogwild.errors import HogwildError, UsageError
from hogwild.files.places import user_folder
from hogwild.files.reading import read_bytes
from hogwild.files.writing import beside, write_atomically
from hogwild.runs.files import read_json

TRUST = "import the code of its own that a run made elsewhere names (default: refuse)"
STAMP = ".made-here"
NAMES = ("data", "model", "algorithm", "schedule")
RECIPE = "library.json"  # names of functions that a program gave to the library, beside config.yaml
KEY_BYTES = 32


def own_code(values: Mapping[str, object]) -> dict[str, str]:
    """The options among the flat `values` of a configuration that name Python code, with these names."""
    found = {name: values.get(name) for name in NAMES}
    return {name: value for name, value in found.items() if isinstance(value, str) and ":" in value}


def _named(run: Path, values: Mapping[str, object]) -> dict[str, str]:
    """The own code that a run names, in its configuration and beside it."""
    beside = dict(_texts(RECIPE, read_json(run / RECIPE)))
    return own_code(values) | {name: value for name, value in beside.items() if ":" in value}


def _texts(name: str, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The texts in `values` and the mappings in it, each with its path."""
    for key, value in values.items():
        if isinstance(value, str):
            yield f"{name} {key}", value
        elif isinstance(value, Mapping):
            yield from _texts(f"{name} {key}", value)


def stamp(run: Path, values: Mapping[str, object]) -> None:
    """Note in the run directory `run` that its own code was named here. Without a state folder the run stays as it is:
    resuming it then takes --trust.
    """
    if (names := _named(run, values)) and (key := _key(make=True)) is not None:
        write_atomically(run / STAMP, _digest(key, names) + "\n")


def require_trust(run: Path, values: Mapping[str, object]) -> None:
    """UsageError if the flat `values` of config.yaml in `run` name own code that is not known to be this user's."""
    if not (names := _named(run, values)):
        return
    key, found = _key(make=False), b""
    with contextlib.suppress(HogwildError):
        found = read_bytes(run / STAMP, 200, regular=True).strip()
    if key is not None and hmac.compare_digest(found, _digest(key, names).encode()):
        return
    named = ", ".join(f"{name if ' ' in name else '--' + name} {value}" for name, value in names.items())
    raise UsageError(f"{run} was not made here, and names code of its own ({named}): read it, then add --trust")


def _digest(key: bytes, names: Mapping[str, str]) -> str:
    return hmac.new(key, json.dumps(names, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    """The user's key, made if there is none and `make` is set; None if there is no folder that can hold it."""
    folder = user_folder("XDG_STATE_HOME", "~/.local/state")
    if folder is None:
        return None
    path = folder / "key"
    with contextlib.suppress(OSError):
        if make and not path.exists():
            _make(path)
    with contextlib.suppress(HogwildError):
        key = read_bytes(path, KEY_BYTES, regular=True)
        return key if len(key) == KEY_BYTES else None
    return None


def _make(path: Path) -> None:
    """A new key, whole or not at all, readable by this user only; a key that another process has just made stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
