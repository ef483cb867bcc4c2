"""The keywords of hogwild.fit and hogwild.launch that are options of a run, with their types.

Written by `python tools/library_options.py`; do not edit it by hand. Defaults and checks are those of
hogwild.config.Config; options of single algorithms have the algorithm's own defaults (docs/options.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict


class LaunchOptions(TypedDict, total=False):
    """Of every run."""

    dtype: Literal["float32", "float64"]
    norm: Literal["batch", "full", "group", "none"] | None
    norm_alpha: float | None
    norm_state: Literal["shared", "worker"] | None
    lr: float | Literal["auto"] | None
    weight_decay: float
    no_decay: str | None
    table_rule: Literal["row-adagrad", "adagrad", "sgd", "momentum", "adam"] | None
    table_lr: float | None
    table_eps: float | None
    table_decay: Literal["none", "lazy", "catch-up"]
    table_catch_up: bool
    row_max_norm: float | None
    schedule: str | Callable[[float], float]
    min_lr: float
    clip: float | None
    warmup: float | None
    warmup_updates: int | None
    warmup_from: float | None
    milestones: Sequence[float]
    step_factor: float | None
    device: Literal["auto", "cpu", "cuda"]
    gpus: int
    master: str
    access: Literal["racing", "atomic", "striped", "locked"]
    read: Literal["snapshot", "inplace"]
    layer_pushes: bool
    guard: Literal["push", "element"]
    on_nonfinite: Literal["stop", "skip"]
    loaders: int
    takeover: bool | None
    min_workers: int
    respawn: int
    stall_timeout: float
    pin: str
    start_method: Literal["forkserver", "spawn"]
    between: str | None
    between_options: str | None
    between_period: int
    between_wire: Literal["f32", "int8"]
    between_timeout: float
    between_linger: float
    min_boxes: int
    straggler: Mapping[int, float]
    seed: int
    updates: int | None
    eval_updates: int
    eval_seconds: float
    ckpt_updates: int
    ckpt_seconds: float
    keep: int
    out: str | PathLike[str]
    name: str | None
    overwrite: bool
    tb: bool
    csv: bool
    activation: float
    advanced: bool
    age_power: float
    ahead: float | None
    alpha: float
    average_momentum: bool
    average_rate: float
    averaging: float
    beta: float
    beta1: float
    beta2: float
    beta_per: Literal["exchange", "step"]
    block: int
    cap: float
    combine: Literal["first", "last"]
    compensation: Literal["none", "dc", "dc-adaptive"]
    coords: Literal["one", "block", "all"]
    dampening: float
    dc_adaptive: bool
    dc_decay: float
    dc_lambda: float
    dc_power: Literal[1, 2]
    decoupled: bool
    degree: int
    delay_cutoff: int
    delay_limit: int
    distance_limit: float
    eps: float
    eps_inside: bool
    exchange: Literal["paper", "post"]
    first_step: Literal["torch", "damped"]
    form: Literal["jacobi", "gauss-seidel", "m2", "m1"]
    fraction: float
    fragments: int
    fresh: bool
    gap_decay: float
    gap_lagged: bool
    gap_level: Literal["element", "layer", "global"]
    gap_reference: Literal["lr_max", "lr"]
    gap_size: Literal["level", "layer", "global"]
    gap_unit: Literal["v", "g", "step"]
    gradients: int
    initial_accumulator: float
    interpolation: float
    k: int
    local_from: int
    local_rule: Literal["sgd", "adamw", "rmsprop", "lion"]
    local_steps: Literal["fixed", "speed"]
    max_age: int
    modulation: Literal["none", "gradient", "average"]
    momentum: float
    momentum_kind: Literal["heavy-ball", "nesterov", "shifted", "dana", "dana-slim", "smega2", "ormo"]
    nesterov: bool
    outer_every: int
    outer_lr: float
    outer_momentum: float
    overlap: int
    pairing: Literal["skip", "blocking", "bipartite"]
    penalize_wd: bool
    penalty: Literal["none", "gap", "staleness", "staleness-lr"]
    period: int
    period_up: int
    q_scope: Literal["shared", "worker"]
    quasi_global: float
    recentre: int
    rho: float
    rule: Literal["mishchenko", "koloskova"]
    self_weight: float
    slow_rate: float
    softsync_n: int
    topology: str
    tree: Literal["chain", "binary"]
    weights: Literal["uniform", "metropolis", "lazy"]


class FitOptions(LaunchOptions, total=False):
    """Of runs with a data set."""

    data_dir: str | PathLike[str] | None
    batch_size: int | None
    accumulate: int
    shard: str
    drop_last: bool | None
    order: Literal["shuffled", "sorted", "single-class"]
    on_bad_sample: Literal["skip", "stop"]
    warmup_samples: int | None
    step_epochs: Sequence[float]
    amp: Literal["none", "bf16"]
    compile: bool
    cuda_graph: bool
    channels_last: bool
    kill_stalled: float
    between_wait: Literal["none", "crew"]
    boxes: int
    box_straggler: Mapping[int, float]
    record: bool
    clock: str | None
    latency: float
    bandwidth: float
    edge_every: int
    epochs: float | None
    samples: int | None
    eval_every: float
    ckpt_every: float
    evaluate: Literal["center", "mean", "average"]
