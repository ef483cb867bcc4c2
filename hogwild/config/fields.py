"""The configuration of a run: one frozen dataclass, always valid and complete, and its YAML form.

Each field states its type, default, help and check; the command line is made from it (hogwild/cli/flags.py). A value
that is not given is filled in at construction, so that config.yaml has every value and gives an equal Config when read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from hogwild.algorithms import registry
from hogwild.config.completion import complete
from hogwild.config.schedules import SCHEDULES
from hogwild.config.values import (
    AMP,
    CORES,
    COUNT,
    FACTORS,
    FRACTION,
    MASTER,
    MILESTONES,
    NAME,
    NO_DECAY,
    NOT_NEGATIVE,
    ORDERS,
    PART,
    POSITIVE,
    RISING,
    SCHEDULE,
    SEED,
    SHARD,
    WIRES,
    WORKERS,
)
from hogwild.errors import UsageError
from hogwild.options import accept, option
from hogwild.rules import Access, Guard
from hogwild.tables import DECAYS, TABLE_RULES
from hogwild.tasks.sharding import SHARDS

GROUPS = ("data", "model", "algorithm", "workers", "between", "experiments", "run")

AUTO = "auto"
OWN_CODE = "your own: module:function"

_data, _model, _algorithm, _workers, _between, _experiments, _run = (partial(option, group) for group in GROUPS)


@dataclass(frozen=True)
class Config:
    """The complete configuration of a run. Raises UsageError, in one line, for invalid values.

    `options` holds the algorithm's own options (momentum, ...) that were given; in YAML and on the command line they
    are at the same level as the fields. `hogwild.config.algorithm.make` makes the algorithm.
    """

    data: str = _data("digits", f"data set, or {OWN_CODE}", fixed=True)
    data_dir: str | None = _data(None, "directory of the data files (default: $HOGWILD_DATA, then the cache)")
    validation: float = _data(
        0.0, "part of the training set that is set apart at random, to evaluate the run and choose the checkpoint best",
        FRACTION, fixed=True,
    )  # fmt: skip
    batch_size: int = _data(None, "samples per gradient (default: the data set's)", COUNT, fixed=True)
    accumulate: int = _data(
        1, "batches whose gradients make up one, their mean: samples per gradient are that many batch_size", COUNT,
        fixed=True,
    )  # fmt: skip
    shard: str = _data("none", f"part of the data from which a worker draws its batches: {SHARDS}", SHARD, fixed=True)
    drop_last: bool | None = _data(
        None, "leave out the last batch of a pass if it is not full (default: if it has one sample and the model has "
        "BatchNorm)", fixed=True,
    )  # fmt: skip
    order: str = _data("shuffled", "order of the samples in a pass over the data or a worker's part", choices=ORDERS,
                       fixed=True)  # fmt: skip
    on_bad_sample: str = _data(
        "skip", "a sample that cannot be read: skip leaves it out and counts it, up to 1 % of an epoch; stop ends the "
        "run", choices=("skip", "stop"),
    )  # fmt: skip

    model: str = _model(None, f"model, or {OWN_CODE} (default: the data set's)", fixed=True)
    init_from: str | None = _model(
        None, "weights to begin with: a run, a checkpoint in it, or a file with a state_dict (.pt, .safetensors)"
    )
    dtype: str = _model("float32", "type of the master parameters", choices=("float32", "float64"), fixed=True)

    norm: str | None = _model(
        None, "normalisation in place of BatchNorm; mlp and lenet get such layers (default: the model is not changed)",
        choices=("batch", "full", "group", "none"), fixed=True,
    )  # fmt: skip
    norm_alpha: float | None = _model(None, "weight of a new batch in Full Normalization (default: 0.03)", PART)
    norm_state: str | None = _model(
        None, "averages of Full Normalization: shared by all workers, or one set per worker (default: shared)",
        choices=("shared", "worker"), fixed=True,
    )  # fmt: skip

    algorithm: str = _algorithm(
        "asgd", f"how workers update the model (hogwild list algorithms), or {registry.OWN}", fixed=True
    )
    lr: float = _algorithm(
        None, "learning rate per update, or auto (default: the data set's, less with momentum)", POSITIVE
    )
    weight_decay: float = _algorithm(
        0.0,
        "weight decay at the current master weights: L2, and decoupled from the scaled gradient in adamw and lion",
        NOT_NEGATIVE,
    )
    no_decay: str = _algorithm(
        None, "kinds of parameters without weight decay, bias or norm (any other of fewer than two dimensions), or "
        "none (default: bias,norm for adamw, else none)", NO_DECAY,
    )  # fmt: skip
    table_rule: str | None = _algorithm(
        None, "rule of tables, the weights of embeddings with sparse=True (default: sgd, or momentum with --momentum; "
        "row-adagrad for adaptive algorithms)", choices=tuple(TABLE_RULES), fixed=True,
    )  # fmt: skip
    table_lr: float | None = _algorithm(None, "learning rate of tables (default: lr)", POSITIVE)
    table_eps: float | None = _algorithm(None, "added to the root of q of a table (default: the rule's)", POSITIVE)
    table_decay: str = _algorithm(
        "none", "weight decay of tables: lazy, rows that a push touches; catch-up, all rows as if densely",
        choices=DECAYS, fixed=True,
    )  # fmt: skip
    table_catch_up: bool = _algorithm(
        False, "table rule momentum: a row makes up for the pushes that missed it, as if densely", fixed=True
    )
    row_max_norm: float | None = _algorithm(
        None, "the largest norm of a table's row, behind its update (default: any)", POSITIVE
    )
    schedule: str = _algorithm(
        "constant", f"shape of the learning rate: {', '.join(SCHEDULES)}, or your own: module:function, which "
        "gives a factor on lr for a progress of 0 to 1", SCHEDULE,
    )  # fmt: skip
    min_lr: float = _algorithm(0.0, "where schedule cosine, linear and one-cycle end", NOT_NEGATIVE)
    clip: float = _algorithm(
        None, "the largest norm of a gradient; 0: any (default: 0; 1 for clipped and --norm full)", NOT_NEGATIVE
    )
    warmup: float = _algorithm(
        None, "fraction of the run in which lr rises to lr (default: 0; 0.05 for --norm full)", FRACTION
    )
    warmup_updates: int | None = _algorithm(None, "the same as a number of updates", COUNT)
    warmup_samples: int | None = _algorithm(None, "the same as a number of samples", COUNT)
    warmup_from: float = _algorithm(
        None, "part of lr at which a warm-up begins (default: 1/workers; 0 for one worker)", PART
    )
    milestones: tuple[float, ...] = _algorithm((), "fractions of the run at which schedule step lowers lr", MILESTONES)
    step_epochs: tuple[float, ...] = _algorithm((), "the milestones as epochs, such as 30,60", RISING)
    step_factor: float | None = _algorithm(None, "factor on lr at each milestone (default: 0.1)", POSITIVE)
    options: Mapping[str, object] = _algorithm((), "the algorithm's own options")

    workers: int = _workers(
        None, "worker processes, one thread each (default: 2, or 1 on one usable core; sgd 1)", WORKERS
    )
    device: str = _workers("auto", "device on which gradients are computed", choices=("auto", "cpu", "cuda"))
    gpus: int = _workers(1, "number of GPUs, assigned to the workers in turn; 0: all", NOT_NEGATIVE)
    master: str = _workers(
        "auto", "memory of the shared parameters: host, cuda:N, sharded (over the GPUs of the workers) or auto", MASTER
    )
    amp: str = _workers("none", "bf16: forward pass in bfloat16 under autocast, the master stays float32", choices=AMP)
    compile: bool = _workers(False, "torch.compile the forward and backward pass in each worker")
    cuda_graph: bool = _workers(False, "replay each worker's forward and backward pass as one CUDA graph")
    channels_last: bool = _workers(False, "lay image batches out channels last; for convolutions with --amp bf16")
    access: str = _workers("racing", "memory access of concurrent pushes", choices=tuple(a.value for a in Access))
    read: str = _workers("snapshot", "gradients at a private copy or at the master", choices=("snapshot", "inplace"))
    layer_pushes: bool = _workers(False, "push a parameter as soon as the backward pass has its gradient")
    guard: str = _workers("push", "what a non-finite gradient element cancels", choices=tuple(g.value for g in Guard))
    on_nonfinite: str = _workers("stop", "what to do after a non-finite gradient", choices=("stop", "skip"))
    loaders: int = _workers(
        0, "processes beside the workers that read batches of a data set of your own ahead of them; 0: each worker "
        "reads its own", NOT_NEGATIVE,
    )  # fmt: skip
    takeover: bool | None = _workers(
        None, "at the end of a run, workers without a batch also compute those that slower ones still hold; the first "
        "gradient counts (default: wherever that is possible)",
    )  # fmt: skip
    min_workers: int = _workers(1, "stop when fewer workers are left", COUNT)
    respawn: int = _workers(0, "largest number of lost workers that are replaced", NOT_NEGATIVE)
    stall_timeout: float = _workers(60.0, "seconds without progress after which a worker is reported", POSITIVE)
    kill_stalled: float = _workers(
        30.0, "seconds that all other workers may wait for stalled ones before these are killed", NOT_NEGATIVE
    )
    pin: str = _workers("none", "bind workers to cores: none, auto or a list such as 0,2,4-7", CORES)
    start_method: str = _workers("forkserver", "how worker processes are started", choices=("forkserver", "spawn"))

    between: str | None = _between(
        None, "how several boxes train together (docs/boxes.md): ad-psgd, easgd, local-sgd, ...", fixed=True
    )
    between_options: str | None = _between(
        None, "options of that algorithm, such as outer_lr=0.7,outer_momentum=0.9", fixed=True
    )
    between_period: int = _between(50, "updates of a box between two exchanges with another box", COUNT)
    between_wait: str = _between(
        "none", "which workers of a box wait until its exchange is done: none, or all (crew)", choices=("none", "crew")
    )
    between_wire: str = _between(
        "f32", "what boxes send: f32, their models; int8, differences in 8 bits, for slow networks", choices=WIRES
    )
    between_timeout: float = _between(10.0, "seconds of silence after which another box counts as gone", POSITIVE)
    between_linger: float = _between(
        60.0, "seconds that a box without work serves the others before it ends", NOT_NEGATIVE
    )
    min_boxes: int = _between(1, "stop when fewer boxes are left", COUNT)
    boxes: int = _between(1, "boxes of a simulated run; torchrun says how many others have", WORKERS, fixed=True)
    box_straggler: Mapping[int, float] = _between((), "slow down simulated boxes; 0:10: box 0 tenfold", FACTORS)

    straggler: Mapping[int, float] = _experiments((), "slow down workers; 0:4: worker 0 is four times slower", FACTORS)
    record: bool = _experiments(False, "write schedule.jsonl, the order of all that workers do, for --clock trace:FILE")
    clock: str | None = _experiments(
        None, "simulate under a virtual clock: round-robin, gamma:cv=0.1,het=0.6, ...", fixed=True
    )
    latency: float = _experiments(0.0, "virtual time per message between a worker and the shared memory", NOT_NEGATIVE)
    bandwidth: float = _experiments(
        0.0, "bytes per unit of virtual time that a worker can send and read; 0: no limit", NOT_NEGATIVE
    )
    edge_every: int = _experiments(
        0, "updates between measurements of curvature x lr / threshold, up to 60 gradients of 250 samples; 0: none",
        NOT_NEGATIVE,
    )  # fmt: skip
    seed: int = _experiments(0, "seed of the initial model and the data order", SEED, fixed=True)

    epochs: float | None = _run(None, "passes over the data, all workers together (default: the data set's)", POSITIVE)
    samples: int | None = _run(None, "how long to train, instead of epochs", COUNT)
    updates: int | None = _run(None, "how long to train, instead of epochs", COUNT)
    eval_every: float = _run(1.0, "epochs between evaluations; 0: only at the end", NOT_NEGATIVE)
    eval_updates: int = _run(0, "updates between evaluations, besides those of eval_every; 0: none", NOT_NEGATIVE)
    eval_seconds: float = _run(0.0, "seconds between evaluations, besides those of eval_every; 0: none", NOT_NEGATIVE)
    ckpt_every: float = _run(1.0, "epochs between checkpoints; 0: only at the end", NOT_NEGATIVE)
    ckpt_updates: int = _run(0, "updates between checkpoints, besides those of ckpt_every; 0: none", NOT_NEGATIVE)
    ckpt_seconds: float = _run(0.0, "seconds between checkpoints, besides those of ckpt_every; 0: none", NOT_NEGATIVE)
    keep: int = _run(3, "checkpoints kept", COUNT)
    out: str = _run("runs", "directory of the run directories", fixed=True)
    name: str | None = _run(None, "run directory below --out (default: time_data_algorithm)", NAME, fixed=True)
    overwrite: bool = _run(False, "replace an existing run of that name", fixed=True)
    resume: str | None = _run(None, "run directory to continue; other flags override its configuration")
    ckpt: str = _run("last", "checkpoint to resume from: last, best or a name", NAME)
    tb: bool = _run(False, "write the metrics for TensorBoard too, into tb/ of the run directory")
    csv: bool = _run(False, "write the evaluations as a table too, evaluations.csv in the run directory")
    json: bool = _run(False, "print the summary as one JSON object on stdout")
    quiet: bool = _run(False, "no progress bar, warnings only")

    def __post_init__(self) -> None:
        wants_stable_lr = str(self.lr) == AUTO
        if wants_stable_lr:
            self._set("lr", None)
        for field in dataclasses.fields(self):
            self._set(field.name, accept(field, getattr(self, field.name)))
            if getattr(self, field.name) is None and field.default is not None:
                raise UsageError(f"{field.name}: a value is missing")
        self._set("algorithm", registry.reference(self.algorithm))
        complete(self, self._set, FIELDS, wants_stable_lr=wants_stable_lr)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def gradient_samples(self) -> int:
        """Samples per gradient."""
        return self.batch_size * self.accumulate

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Config:
        """A Config from flat values: fields of Config and options of the algorithm in one mapping."""
        fields = {name: value for name, value in values.items() if name in FIELDS}
        rest = {name: value for name, value in values.items() if name not in FIELDS}
        return cls(**fields, options=rest)  # type: ignore[arg-type]

    def values(self) -> dict[str, object]:
        """The flat values, for YAML and JSON. `Config.from_values` makes an equal Config from them."""
        flat: dict[str, object] = {}
        for name in FIELDS:
            value = getattr(self, name)
            flat[name] = list(value) if isinstance(value, tuple) else value
            if name == "algorithm":
                flat |= self.options
        return flat

    def yaml(self) -> str:
        return yaml.safe_dump(self.values(), sort_keys=False, default_flow_style=None, allow_unicode=True)


FIELDS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(Config) if f.name != "options"}
