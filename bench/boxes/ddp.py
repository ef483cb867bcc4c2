"""DistributedDataParallel over gloo with a slow process: run by torchrun, see bench/boxes/training.py.

The same net, batches of the same size in each process, plain SGD with the learning rate times the number of processes.
The slow process sleeps nine times the CPU time of each of its gradients, as a straggler of hogwild does. Evaluation
does not count. The last line of the first process is JSON: the course as [seconds, accuracy], and samples a second.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hogwild import tasks
from hogwild.drivers.instruments.evaluation import evaluate

SLOWER = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accuracy", type=float, required=True, help="ends there")
    parser.add_argument("--limit-s", type=float, required=True, help="or then")
    parser.add_argument("--every", type=int, default=50, help="steps between two evaluations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    data = tasks.load(options.data, download=False)
    torch.manual_seed(options.seed)
    module = tasks.build_model(options.model, data)
    model = DistributedDataParallel(module)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr * processes)
    generator, took_s, step = torch.Generator().manual_seed(options.seed), 0.0, 0
    course: list[tuple[float, float]] = []
    is_over = torch.zeros(1)
    while not is_over:
        for index in torch.randperm(len(data.train), generator=generator).split(options.batch_size * processes):
            began = time.monotonic()
            train(model, optimizer, data.train.batch(index[rank::processes], train=True), is_slow=rank == 1)
            took_s, step = took_s + time.monotonic() - began, step + 1
            if step % options.every == 0:
                if rank == 0:
                    course.append((took_s, evaluate(module, data, data.test).value))
                    is_over.fill_(course[-1][1] >= options.accuracy or took_s > options.limit_s)
                distributed.broadcast(is_over, 0)
                if is_over:
                    break
    if rank == 0:
        print(json.dumps({"course": course, "samples_per_s": step * options.batch_size * processes / took_s}))
    distributed.destroy_process_group()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor], *, is_slow: bool) -> None:
    began = time.thread_time()
    x, y = batch
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    if is_slow:
        time.sleep((SLOWER - 1) * (time.thread_time() - began))
    optimizer.step()


if __name__ == "__main__":
    main()
