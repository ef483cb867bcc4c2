"""This box's part of a run of several boxes: its run directory, and what only box 0 does."""

from __future__ import annotations

import dataclasses
import os
import re
from datetime import datetime
from pathlib import Path

from hogwild.boxes.rendezvous import Rendezvous
from hogwild.config import Config
from hogwild.errors import UsageError

NAME_KEY, INCARNATION_KEY = "name", "incarnation"


def boxes_of(config: Config) -> Rendezvous | None:
    """The place of this process among the boxes of the run; None if it is the only one, or simulated. UsageError if
    torchrun has started several and the options do not say how they train together, or if they do and there is no
    torchrun.
    """
    if config.clock is not None:
        return None
    found = Rendezvous.of_environment()
    if found is None and config.between is not None and "WORLD_SIZE" not in os.environ:
        raise UsageError(
            f"between {config.between} is for the boxes that torchrun starts, and this process was started without it: "
            "leave between out, or see docs/boxes.md"
        )
    if found is not None and config.between is None:
        raise UsageError(
            f"torchrun has started {found.boxes} boxes, and nothing says how they train together: add --between "
            "ad-psgd, or start one process without torchrun, with --workers"
        )
    return found


def part_of(config: Config) -> Config:
    """The configuration of this box: a run NAME lies in NAME/box0, NAME/box1, ...; the first restart of box 1 in
    NAME/box1~2. Box 0 alone evaluates while the run goes on, and shows progress. Counts the start of this box in the
    store. A run of one box is as it was.
    """
    rendezvous = boxes_of(config)
    if rendezvous is None:
        return config
    try:
        store = rendezvous.store()
        incarnation = int(store.add(f"{INCARNATION_KEY}/{rendezvous.box}", 1))
        name = config.name
        if name is None and rendezvous.box == 0 and not store.check([NAME_KEY]):
            parts = (f"{datetime.now():%Y-%m-%d_%H-%M-%S}", config.data, config.algorithm)
            store.set(NAME_KEY, re.sub(r"[^\w.-]", "-", "_".join(parts)))
        if name is None:
            name = store.get(NAME_KEY).decode()
    except RuntimeError as error:
        raise UsageError(
            f"the store of torchrun at {rendezvous.host}:{rendezvous.port} does not answer: {error}"
        ) from None
    folder = f"box{rendezvous.box}" + (f"~{incarnation}" if incarnation > 1 else "")
    config = dataclasses.replace(config, out=str(Path(config.out) / name), name=folder)
    if rendezvous.box == 0:
        return config
    return dataclasses.replace(config, eval_every=0.0, eval_updates=0, eval_seconds=0.0, quiet=True, json=False)


def incarnation_of(config: Config) -> int:
    """How often this box has been started, by the name of its directory."""
    return int((config.name or "").partition("~")[2] or 1)
