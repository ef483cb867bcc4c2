"""Matrix factorisation with torch.optim.Adagrad, whose sums are shared."""

import argparse

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

from examples.matrix_factorisation import Factors, ratings


def train(rank, model, optimizer, pairs, values, test, given):
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)  # the same permutations in all workers
    for epoch in range(given.epochs):
        order = torch.randperm(len(pairs))[rank :: given.workers]
        for index in order.split(given.batch_size):
            loss = F.mse_loss(model(pairs[index]), values[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if rank == 0:
            print(f"epoch {epoch + 1}, rmse {rmse(model, *test):.4f}")


@torch.no_grad()
def rmse(model, pairs, values):
    squares = sum(
        F.mse_loss(model(part), value, reduction="sum").item()
        for part, value in zip(pairs.split(500), values.split(500), strict=True)
    )
    return (squares / len(values)) ** 0.5


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="zipf_ratings")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    data, test = ratings(given.data)
    model = Factors(data.users, data.items, float(data.values.mean())).share_memory()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=given.lr)
    optimizer.share_memory()
    held = test.pairs, test.values
    mp.spawn(train, (model, optimizer, data.pairs, data.values, held, given), nprocs=given.workers)
    print(f"rmse {rmse(model, *held):.4f}, if all were the mean {float(test.values.std()):.4f}")
    user = int(data.pairs[:, 0].mode().values)
    with torch.no_grad():
        scores = model(torch.stack([torch.full((data.items,), user), torch.arange(data.items)], 1))
    print(f"best for user {user}: items", *scores.topk(5).indices.tolist())
