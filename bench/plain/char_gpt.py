"""The character GPT with torch.optim.AdamW, whose moments are each worker's own."""

import argparse
import math
import time

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.utils.data import DataLoader, RandomSampler

from examples.char_gpt import BLOCK, GPT, Windows, groups, text

LR = 2e-3


def train(rank, model, updates, given):
    torch.set_num_threads(1)
    torch.manual_seed(given.seed * 1000 + rank)
    numbers, _ = text()
    data = Windows(numbers[: len(numbers) * 9 // 10], stride=1)
    sampler = RandomSampler(data, replacement=True, num_samples=given.updates * given.batch_size)
    own = [{"params": [p], "weight_decay": 0.1, **groups(name, p)} for name, p in model.named_parameters()]
    optimizer = torch.optim.AdamW(own, lr=LR)
    warmup = max(given.updates // 10, 1)
    for x, y in DataLoader(data, given.batch_size, sampler=sampler):
        with updates.get_lock():
            if updates.value >= given.updates:
                return
            t, updates.value = updates.value, updates.value + 1
        progress = (t - warmup) / max(given.updates - warmup, 1)
        for group in optimizer.param_groups:
            group["lr"] = LR * ((t + 1) / warmup if t < warmup else 0.5 * (1 + math.cos(math.pi * progress)))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def evaluate(model, numbers):
    model.eval()
    batches = DataLoader(Windows(numbers, stride=BLOCK), 500)
    losses = [(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item(), len(x)) for x, y in batches]
    model.train()
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=int, default=300)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    model = GPT().share_memory()
    context = mp.get_context("spawn")
    updates = context.Value("l", 0)
    workers = [context.Process(target=train, args=(rank, model, updates, given)) for rank in range(given.workers)]
    for worker in workers:
        worker.start()
    numbers, _ = text()
    for quarter in range(1, 4):
        while updates.value < given.updates * quarter // 4 and any(worker.is_alive() for worker in workers):
            time.sleep(0.01)
        print(f"updates {updates.value}, test loss {evaluate(model, numbers[-20_000:]):.3f}")
    for worker in workers:
        worker.join()
    print(f"test loss {evaluate(model, numbers[-20_000:]):.3f}")
    print(model.eval().write(given.write))
