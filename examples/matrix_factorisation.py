"""Matrix factorisation (Koren, Bell and Volinsky 2009): a rating is mean + p_user . q_item, of two sparse tables.

python matrix_factorisation.py                                        synthetic ratings, rows by Zipf's law
HOGWILD_DATA=... python matrix_factorisation.py --data movielens_1m --epochs 10
"""

import argparse
from functools import partial

import torch
from torch import Tensor, nn

import hogwild
from hogwild.tasks import load
from hogwild.tasks.splits import RatingsSplit

RANK = 16


def ratings(name: str) -> tuple[RatingsSplit, RatingsSplit]:
    """For training and for testing: pairs [n, 2] of a user and an item, values [n]."""
    data = load(name)
    assert isinstance(data.train, RatingsSplit)
    assert isinstance(data.test, RatingsSplit)
    return data.train, data.test


class Factors(nn.Module):
    """Pairs [batch, 2] of a user and an item -> ratings [batch]. A batch costs its own rows, however many there are."""

    def __init__(self, users: int, items: int, mean: float) -> None:
        super().__init__()
        self.users, self.items = (nn.Embedding(rows, RANK, sparse=True) for rows in (users, items))
        self.mean = nn.Parameter(torch.tensor(mean))
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, pairs: Tensor) -> Tensor:
        product: Tensor = self.users(pairs[:, 0]) * self.items(pairs[:, 1])
        return product.sum(1) + self.mean


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="zipf_ratings", help="or movielens_100k, movielens_1m")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    train, test = ratings(given.data)
    result = hogwild.fit(
        partial(Factors, train.users, train.items, float(train.values.mean())), given.data,
        metrics={"rmse": hogwild.metrics.rmse}, algorithm="adagrad", lr=given.lr, table_rule="row-adagrad",
        workers=given.workers, epochs=given.epochs, batch_size=given.batch_size, seed=given.seed,
    )  # fmt: skip
    print(f"rmse {result.summary['test_rmse']:.4f}, if all were the mean {float(test.values.std()):.4f}")
    print("rows of a push {unique_rows_per_push:.0f}, their delay {row_delay:.3f}".format(**result.summary))
    user = int(train.pairs[:, 0].mode().values)
    every = torch.stack([torch.full((train.items,), user), torch.arange(train.items)], 1)
    print(f"best for user {user}: items", *result.predict(every).topk(5).indices.tolist())
