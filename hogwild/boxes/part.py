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
from hogwild.runs.parts import newest_with_checkpoint, part_name, parts_of

NAME_KEY, INCARNATION_KEY = "name", "incarnation"


def boxes_of(config: Config) -> Rendezvous | None:
    """The place of this process among the boxes of the run, which may be the only one; None for a run without boxes, or
    of simulated ones. UsageError if torchrun has started several and the options do not say how they train together, or
    if they do and there is no torchrun.
    """
    if config.clock is not None or (config.between is None and os.environ.get("WORLD_SIZE", "1") == "1"):
        return None
    found = Rendezvous.of_environment()
    if found is None:
        raise UsageError(
            f"between {config.between} is for the boxes that torchrun starts, and this process was started without it: "
            "leave between out, or see docs/boxes.md"
        )
    if config.between is None:
        raise UsageError(
            f"torchrun has started {found.boxes} boxes, and nothing says how they train together: add --between "
            "ad-psgd, or start one process without torchrun, with --workers"
        )
    return found


def part_of(config: Config) -> Config:
    """The configuration of this box: a run NAME lies in NAME/box0, NAME/box1, ...; the first restart of box 1 in
    NAME/box1~2. A run that is resumed goes on in the newest part of this box with a checkpoint, in a new one if there
    is none on this machine, or if the box was started again since. Box 0 alone evaluates while the run goes on, and
    shows progress. Counts the start of this box in the store. A run without boxes is as it was.
    """
    rendezvous = boxes_of(config)
    if rendezvous is None:
        return config
    try:
        store = rendezvous.store()
        incarnation = int(store.add(f"{INCARNATION_KEY}/{rendezvous.box}", 1))
        name = config.name
        if config.resume is None and name is None and rendezvous.box == 0 and not store.check([NAME_KEY]):
            parts = (f"{datetime.now():%Y-%m-%d_%H-%M-%S}", config.data, config.algorithm)
            store.set(NAME_KEY, re.sub(r"[^\w.-]", "-", "_".join(parts)))
        if config.resume is None and name is None:
            name = store.get(NAME_KEY).decode()
    except RuntimeError as error:
        raise UsageError(
            f"the store of torchrun at {rendezvous.host}:{rendezvous.port} does not answer: {error}"
        ) from None
    run = Path(config.out) / str(name) if config.resume is None else Path(config.resume)
    folder = _folder(run, rendezvous.box, incarnation, is_resumed=config.resume is not None)
    resume = None if config.resume is None else str(run / folder)
    config = dataclasses.replace(config, out=str(run), name=folder, resume=resume)
    if rendezvous.box == 0:
        return config
    return dataclasses.replace(config, eval_every=0.0, eval_updates=0, eval_seconds=0.0, quiet=True, json=False)


def _folder(run: Path, box: int, incarnation: int, *, is_resumed: bool) -> str:
    if is_resumed and incarnation == 1:
        part = newest_with_checkpoint(parts_of(run).get(box, []))
        return part_name(box) if part is None else part.name
    number = incarnation
    while number > 1 and (run / part_name(box, number)).exists():  # those before the run was resumed
        number += 1
    return part_name(box, number)


def incarnation_of(rendezvous: Rendezvous) -> int:
    """How often this box has been started, this time included (part_of)."""
    return int(rendezvous.store().add(f"{INCARNATION_KEY}/{rendezvous.box}", 0))
