"""The summary of all boxes: each publishes its own facts in torchrun's store, and box 0 sums them up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from hogwild.boxes.memory import COUNTS
from hogwild.boxes.rendezvous import Rendezvous

KEY = "summary"
SUMMED = ("updates", "samples", "samples_now", "joins", *COUNTS)


def publish(rendezvous: Rendezvous, facts: Mapping[str, Any]) -> None:
    """Publishes the facts of this box; not, if the store is gone."""
    with contextlib.suppress(RuntimeError):
        rendezvous.store().set(f"{KEY}/{rendezvous.box}", json.dumps(facts))


def summed(rendezvous: Rendezvous, own: Mapping[str, Any], *, has_store: bool) -> dict[str, Any]:
    """The facts of all boxes that have published theirs: sums, and the updates of each box, None where it did not.
    Means and quantiles are those of this box. `has_store`: False if it is known to be gone.
    """
    found: dict[int, Mapping[str, Any]] = {rendezvous.box: own}
    if has_store:
        _ask(rendezvous, found)
    totals = {name: sum(facts[name] for facts in found.values()) for name in SUMMED if name in own}
    updates = [found[box]["updates"] if box in found else None for box in range(rendezvous.boxes)]
    return {**own, **totals, "boxes_share": updates}


def _ask(rendezvous: Rendezvous, found: dict[int, Mapping[str, Any]]) -> None:
    with contextlib.suppress(RuntimeError):
        store = rendezvous.store()
        for box in range(rendezvous.boxes):
            if box != rendezvous.box and store.check([f"{KEY}/{box}"]):
                found[box] = json.loads(store.get(f"{KEY}/{box}"))
