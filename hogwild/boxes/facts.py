"""What all boxes of a run must have alike, and what a run of several boxes cannot be."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import torch

from hogwild.boxes.header import FORMAT, Facts
from hogwild.boxes.wire import WIRES
from hogwild.config import FIELDS, LIMITS, Config
from hogwild.drivers.job.batches import StreamOrder
from hogwild.drivers.job.job import Job
from hogwild.errors import UsageError
from hogwild.shared.world import World

SAME = ("data", "model", "algorithm")  # groups of options that all boxes must have alike
FREE = ("data_dir", "init_from", "warmup_from")  # but these


def facts_of(config: Config, boxes: int, elements: int, start: int) -> Facts:
    """The facts of a box. `elements`: of its model. `start`: the hash of the model with which the run began."""
    wire = list(WIRES).index(config.between_wire)
    return Facts(FORMAT, boxes, elements, wire, hash_of(_options(config)), start)


def hash_of(content: bytes | torch.Tensor) -> int:
    """63 bits."""
    data = content if isinstance(content, bytes) else content.numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") >> 1


def require_supported(job: Job) -> None:
    """Raises UsageError for what only the job tells, and several boxes do not support yet."""
    if isinstance(job.order, StreamOrder):
        raise UsageError("--between does not support streams (IterableDataset) yet: use a data set that can be indexed")


def require_dense(world: World) -> None:
    """UsageError for a model with tables: a row that one box has touched and another one has not has no mean."""
    if world.tables:
        raise UsageError("--between does not support tables (sparse=True in an embedding) yet: use dense embeddings")


def _options(config: Config) -> bytes:
    """The options that all boxes must have alike."""
    values = replace(config, resume=None).values()
    free = {name for name, field in FIELDS.items() if field.metadata["group"] not in SAME} | set(FREE)
    free -= {*LIMITS, "seed", "between", "between_options"}
    return json.dumps({name: value for name, value in values.items() if name not in free}, default=str).encode()
