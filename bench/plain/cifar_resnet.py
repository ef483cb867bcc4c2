"""The ResNet with torch.optim.SGD, whose momentum is shared. The parent averages, evaluates and saves."""

import argparse
import copy
import math
import time

import torch
import torch.multiprocessing as mp
from torch.utils.data import DataLoader

from examples.cifar_resnet import ResNet, cifar, coloured, step


def train(rank, model, optimizer, updates, total, data, given):
    torch.set_num_threads(1)
    torch.manual_seed(given.seed * 1000 + rank)
    warmup = max(total // 10, 1)
    model.train()
    while True:
        for batch in DataLoader(data, given.batch_size, shuffle=True):
            with updates.get_lock():
                if updates.value >= total:
                    return
                t, updates.value = updates.value, updates.value + 1
            progress = (t - warmup) / max(total - warmup, 1)
            for group in optimizer.param_groups:
                group["lr"] = given.lr * ((t + 1) / warmup if t < warmup else 0.5 * (1 + math.cos(math.pi * progress)))
            loss, _, _ = step(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def shared_sgd(model, lr):
    decays = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    own = [{"params": decays, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(own, lr=lr, momentum=0.9)
    for parameter in model.parameters():
        optimizer.state[parameter] = {"momentum_buffer": torch.zeros_like(parameter).detach().share_memory_()}
    return optimizer


@torch.no_grad()
def evaluate(model, data):
    model.eval()
    top1 = top5 = 0
    for batch in DataLoader(data, 500):
        _, output, y = step(model, batch)
        found = output.topk(5, -1).indices == y[:, None]
        top1, top5 = top1 + int(found[:, 0].sum()), top5 + int(found.any(-1).sum())
    return top1 / len(data), top5 / len(data)


@torch.no_grad()
def average(ema, model, updates, since):
    decay = min(0.99, (1 + updates) / (10 + updates)) ** (updates - since)
    for kept, new in zip(ema.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
    for kept, new in zip(ema.buffers(), model.buffers(), strict=True):
        kept.copy_(new)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--coloured", type=int, default=0)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume")
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    data, test = coloured(given.coloured) if given.coloured else cifar()
    epoch = math.ceil(len(data) / given.batch_size)
    total = epoch * given.epochs
    model = ResNet(given.width).share_memory()
    optimizer = shared_sgd(model, given.lr)
    ema = copy.deepcopy(model)
    context = mp.get_context("spawn")
    updates = context.Value("l", 0)
    if given.resume:
        saved = torch.load(given.resume)
        model.load_state_dict(saved["model"])
        ema.load_state_dict(saved["ema"])
        for parameter, momentum in zip(model.parameters(), saved["momentum"], strict=True):
            optimizer.state[parameter]["momentum_buffer"].copy_(momentum)
        updates.value = saved["updates"]
    args = model, optimizer, updates, total, data, given
    workers = [context.Process(target=train, args=(rank, *args)) for rank in range(given.workers)]
    for worker in workers:
        worker.start()
    averaged = updates.value
    due = min((averaged // epoch + 1) * epoch, total)
    while averaged < total and (averaged < updates.value or any(worker.is_alive() for worker in workers)):
        time.sleep(0.01)
        done = updates.value
        if done >= total:
            for worker in workers:
                worker.join()
        if done >= averaged + 10 or done >= due:
            average(ema, model, done, averaged)
            averaged = done
        if done >= due:
            due = min((done // epoch + 1) * epoch, total)
            (top1, top5), (of_average, _) = evaluate(copy.deepcopy(model), test), evaluate(ema, test)
            print(f"top-1 {top1:.3f}, top-5 {top5:.3f}, average {of_average:.3f}")
            momentum = [optimizer.state[parameter]["momentum_buffer"] for parameter in model.parameters()]
            saved = {"model": model.state_dict(), "ema": ema.state_dict(), "momentum": momentum, "updates": done}
            torch.save(saved, "cifar_resnet.pt")
