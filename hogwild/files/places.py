"""The folders of a user by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path


def user_folder(variable: str, default: str) -> Path | None:
    """$variable/hogwild, by default `default`/hogwild; None for a user without a home directory."""
    try:
        return Path(os.environ.get(variable) or default).expanduser() / "hogwild"
    except RuntimeError:
        return None
