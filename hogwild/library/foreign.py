"""Names that other libraries have for what hogwild.fit does under another name, or does not do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hogwild.errors import UsageError

_EPOCHS = "epochs=, or updates= or samples="
_WARMUP = "warmup_updates=, warmup_samples=, or warmup= as a fraction of the run"
_WORKERS = "workers= says how many processes train; each of them reads its own samples"
_AMP = 'amp="bf16"'
_OPTIMIZER = (
    'algorithm="asgd" with momentum=, or "adamw", "rmsprop", "adagrad", "lion": the update runs on memory that '
    "workers share, which no torch optimizer can; lr=, weight_decay= and groups= are its options"
)
_DEVICES = 'device="cuda" and gpus=, the number of GPUs'
_TEST = "the second part of the data set: hogwild.fit(model, (train, test)); validation= is a third one"
_LOADERS = "loaders=, the processes that read batches of a data set of your own ahead of the workers"
_LOSS = "loss_fn=, (output, target) -> loss, or step_fn=, (model, batch) -> loss"

FOREIGN = {
    "optimizer": _OPTIMIZER, "optimizers": _OPTIMIZER, "optim": _OPTIMIZER, "optimizer_fn": _OPTIMIZER,
    "opt": _OPTIMIZER,
    "lr_scheduler": "schedule=, by name or a function of the progress, with warmup_updates=, min_lr=, step_epochs=",
    "scheduler": "schedule=, by name or a function of the progress, with warmup_updates=, min_lr=, step_epochs=",
    "lr_scheduler_type": "schedule=: constant, linear, cosine, one-cycle, inverse-sqrt or step",
    "learning_rate": "lr=", "max_lr": 'lr=, which schedule="one-cycle" rises to', "eta_min": "min_lr=",
    "lr_min": "min_lr=",
    "gamma": "step_factor=, the factor on lr at each of milestones= or step_epochs=",
    "step_size": "step_epochs=, such as (30, 60)",
    "warmup_steps": _WARMUP, "warmup_ratio": _WARMUP, "num_warmup_steps": _WARMUP, "warmup_epochs": _WARMUP,
    "lr_warmup": _WARMUP,
    "num_workers": _WORKERS, "nproc_per_node": _WORKERS, "num_processes": _WORKERS, "world_size": _WORKERS,
    "nprocs": _WORKERS, "dataloader_num_workers": _LOADERS, "prefetch_factor": _LOADERS, "pin_memory": _WORKERS,
    "persistent_workers": _LOADERS, "n_jobs": _WORKERS, "num_nodes": "one machine: workers= says how many processes",
    "max_steps": "updates=, the number of updates by all workers together",
    "num_steps": "updates=, the number of updates by all workers together",
    "steps": "updates=, the number of updates by all workers together",
    "total_steps": "updates=, the number of updates by all workers together",
    "iterations": "updates=, the number of updates by all workers together",
    "max_iters": "updates=, the number of updates by all workers together",
    "max_epochs": _EPOCHS, "num_epochs": _EPOCHS, "n_epochs": _EPOCHS, "num_train_epochs": _EPOCHS,
    "max_time": "epochs=, updates= or samples=: a run has no limit of time",
    "patience": "callbacks=[hogwild.EarlyStopping(...)]",
    "early_stopping": "callbacks=[hogwild.EarlyStopping(...)]",
    "min_delta": "callbacks=[hogwild.EarlyStopping(...)]",
    "gradient_accumulation_steps": "accumulate=, the batches that make up one gradient",
    "accumulate_grad_batches": "accumulate=, the batches that make up one gradient",
    "grad_accum": "accumulate=, the batches that make up one gradient",
    "train_batch_size": "batch_size=, of each worker",
    "per_device_train_batch_size": "batch_size=, of each worker", "bs": "batch_size=, of each worker",
    "per_device_eval_batch_size": "eval_batch_size=", "val_batch_size": "eval_batch_size=",
    "train_dataset": "the second argument: hogwild.fit(model, train) or hogwild.fit(model, (train, test))",
    "train_loader": "the second argument; a DataLoader is taken apart",
    "train_dataloader": "the second argument; a DataLoader is taken apart",
    "train_dataloaders": "the second argument; a DataLoader is taken apart",
    "dataloader": "the second argument; a DataLoader is taken apart",
    "datamodule": "its data sets: hogwild.fit(model, (train, test), validation=...)",
    "x": "the data as a pair: hogwild.fit(model, (x, y))", "y": "the data as a pair: hogwild.fit(model, (x, y))",
    "eval_dataset": "validation=", "val_dataset": "validation=", "val_loader": "validation=",
    "val_dataloader": "validation=", "val_dataloaders": "validation=", "valid_loader": "validation=",
    "validation_data": "validation=", "validation_split": "validation=, a fraction of the training set",
    "val_split": "validation=, a fraction of the training set",
    "test_dataset": _TEST, "test_loader": _TEST, "test": _TEST,
    "shuffle": "nothing: each pass is shuffled; order= and shard= say otherwise",
    "sampler": "nothing in its place: each pass takes each sample once, shuffled; order= and shard= say otherwise",
    "batch_sampler": "nothing in its place: each pass takes each sample once, shuffled",
    "criterion": _LOSS, "loss": _LOSS, "loss_function": _LOSS, "training_step": _LOSS, "compute_loss": _LOSS,
    "train_step": _LOSS, "forward_fn": _LOSS,
    "compute_metrics": "metrics={name: function}", "score": "metrics={name: function}",
    "scoring": "metrics={name: function}", "metric_for_best_model": "monitor=, the name of one of metrics=",
    "mode": "maximize=, whether a larger value of monitor= is better",
    "greater_is_better": "maximize=, whether a larger value of monitor= is better",
    "precision": _AMP, "fp16": _AMP, "bf16": _AMP, "mixed_precision": _AMP, "use_amp": _AMP, "autocast": _AMP,
    "torch_compile": "compile=True",
    "accelerator": 'device="cpu" or "cuda"', "devices": _DEVICES, "num_gpus": _DEVICES, "device_ids": _DEVICES,
    "use_cuda": 'device="cuda"', "no_cuda": 'device="cpu"', "use_cpu": 'device="cpu"',
    "strategy": "algorithm=, and workers=", "backend": "nothing: the workers share memory",
    "gradient_clip_val": "clip=", "max_grad_norm": "clip=", "grad_clip": "clip=", "clip_grad_norm": "clip=",
    "clipnorm": "clip=", "wd": "weight_decay=", "l2": "weight_decay=", "betas": "beta1= and beta2=",
    "param_groups": "groups=, a function of a parameter's name",
    "parameters": "groups=, a function of a parameter's name", "params": "groups=, a function of a parameter's name",
    "output_dir": "out=, and name= for the run directory below it", "log_dir": "out=, and name= for the run directory",
    "default_root_dir": "out=, and name= for the run directory below it", "run_name": "name=",
    "save_dir": "out=, and name= for the run directory", "logger": "nothing: metrics.jsonl of the run directory",
    "save_steps": "ckpt_every=, in epochs", "save_every": "ckpt_every=, in epochs",
    "save_total_limit": "keep=, the number of checkpoints",
    "eval_steps": "eval_every=, in epochs", "check_val_every_n_epoch": "eval_every=, in epochs",
    "val_check_interval": "eval_every=, in epochs", "eval_interval": "eval_every=, in epochs",
    "resume_from_checkpoint": "init_from= for the weights of a run", "ckpt_path": "init_from= for the weights of a run",
    "pretrained": "init_from=, a state_dict, a run or a file", "state_dict": "init_from=",
    "checkpoint": "init_from= for the weights of a run", "weights_path": "init_from=",
    "verbose": "quiet=False", "verbosity": "quiet=False", "progress_bar": "quiet=False", "disable_tqdm": "quiet=",
    "random_state": "seed=", "random_seed": "seed=", "manual_seed": "seed=",
    "deterministic": 'seed= and workers=1, or clock="round-robin": several workers that race are not repeatable',
    "delay": 'clock=, such as "gamma": hogwild simulates delays', "staleness": 'clock=, such as "gamma"',
    "ema": "callbacks=[hogwild.EMA(...)]", "dtypes": "dtype=",
}  # fmt: skip
CLOSE = 0.8  # similarity from which a name is taken for a slip of the pen


def refusal(name: str, known: Iterable[str], of: str = "hogwild.fit") -> UsageError:
    """`fit has no num_workers=: ...`: what to use here; else the name that it is a slip of, if there is one."""
    if name in FOREIGN:
        return UsageError(f"{of} has no {name}=. Use {FOREIGN[name]}")
    near = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=CLOSE)
    guess = f" Did you mean {near[0]}=?" if near else ""
    return UsageError(f"{of} has no {name[:100]}=.{guess} help({of}) lists its options")
