"""Embeddings beside the packages that people use for them: pairs/s and quality, on the same data by one measure.

    pip install gensim implicit lightfm               a package that is missing is left out, with the reason
    python -m bench.embeddings                        about 4 minutes; writes docs/results/embeddings.md

Skip-gram with negative sampling against gensim's Word2Vec, and pairwise ranking (BPR) against implicit and LightFM. A
pair is a word with one neighbour (and 5 drawn words), or a user with a rated item (and one drawn item). The vectors of
a package are put into hogwild's model, so that one function measures all: AUC, and hits among the first 10 of 100.
Contestants take turns; pairs/s are from the first to the last update, start and evaluation left out; the best of the
rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import hogwild
from hogwild.drivers.instruments.evaluation import evaluate
from hogwild.runs.environment import package_version
from hogwild.tasks.data import Data
from hogwild.tasks.datasets.movielens import of_ratings
from hogwild.tasks.datasets.zipf import zipf_ratings, zipf_text
from hogwild.tasks.models.mf import RANK, MatrixFactorization
from hogwild.tasks.models.skipgram import WIDTH, SkipGram

WORDS, LENGTH, SENTENCE = 20_000, 300_000, 1000
PEOPLE, THINGS, RATINGS = 5_000, 5_000, 600_000
LIKED = 0.5  # a rating above it is a pair
RESULTS = Path(__file__).parents[1] / "docs/results/embeddings.md"
HEAD = """# Embeddings beside other packages

`python -m bench.embeddings`: synthetic text of {length:,} words ({words:,} different ones by Zipf's law, {width}
dimensions), and {pairs:,} pairs of {people:,} users and {things:,} items ({rank} dimensions). The best of {rounds}
rounds in which all took turns, on two shared cores, so that only ratios mean something. {versions}

| data | package | workers | pairs/s | measure | quality |
|---|---|---|---|---|---|
"""
TAIL = """
The packages update a row with every pair, in a loop compiled for this one model; hogwild computes the gradient of a
batch of any model with torch and sums its rows first. Learning rates: the packages' defaults, row Adagrad {lr:g} here.
"""
LR = 0.1


@dataclass(frozen=True)
class Found:
    pairs_per_s: float
    quality: float


Contestant = Callable[[int], Found]
"""workers -> what it reached."""


class MissingError(Exception):
    """The package cannot be imported."""


@contextmanager
def needed(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingError(f"{package}: {error}") from error


def ours(data: Data, model: Callable[[], nn.Module], epochs: int, workers: int) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        result = hogwild.fit(
            model, data, algorithm="adagrad", lr=LR, table_rule="row-adagrad", workers=workers, epochs=epochs,
            batch_size=1024, eval_every=0, ckpt_every=0, out=folder, quiet=True,
        )  # fmt: skip
    return Found(result.summary["samples_per_s"], evaluate(result.model, data, data.test).value)


def gensim(data: Data, epochs: int, workers: int) -> Found:
    with needed("gensim"):
        from gensim.models import Word2Vec
    numbers = [str(number) for number in data.train.tensors()["words"].tolist()]
    sentences = [numbers[i : i + SENTENCE] for i in range(0, len(numbers), SENTENCE)]
    model = Word2Vec(vector_size=WIDTH, sg=1, negative=5, window=5, sample=0, min_count=1, workers=workers, seed=1)
    model.build_vocab(sentences)
    began = time.perf_counter()
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    seconds = time.perf_counter() - began
    module = SkipGram(WORDS)
    rows = torch.tensor([int(word) for word in model.wv.index_to_key])
    _put(module.word.weight, rows, model.wv.vectors)
    _put(module.neighbour.weight, rows, model.syn1neg)
    pairs = 6 * len(numbers) * epochs  # a window of 1 to 5, drawn, on both sides
    return Found(pairs / seconds, evaluate(module, data, data.test).value)


def implicit(data: Data, epochs: int, workers: int) -> Found:
    with needed("implicit"):
        from implicit.bpr import BayesianPersonalizedRanking
        from scipy.sparse import csr_matrix
    pairs = data.train.tensors()["pairs"].numpy()
    rated = csr_matrix(([1.0] * len(pairs), (pairs[:, 0], pairs[:, 1])), shape=(PEOPLE, THINGS), dtype="float32")
    model = BayesianPersonalizedRanking(
        factors=RANK, iterations=epochs, num_threads=workers, verify_negative_samples=False, random_state=1
    )
    began = time.perf_counter()
    model.fit(rated, show_progress=False)
    seconds = time.perf_counter() - began
    users, items = (torch.as_tensor(factors) for factors in (model.user_factors, model.item_factors))
    return Found(rated.nnz * epochs / seconds, _ranked(users, items, data))  # the last column: 1, and an item's bias


def lightfm(data: Data, epochs: int, workers: int) -> Found:
    with needed("lightfm"):
        from lightfm import LightFM
        from scipy.sparse import coo_matrix
    pairs = data.train.tensors()["pairs"].numpy()
    rated = coo_matrix(([1.0] * len(pairs), (pairs[:, 0], pairs[:, 1])), shape=(PEOPLE, THINGS), dtype="float32")
    model = LightFM(no_components=RANK, loss="bpr", random_state=1)
    began = time.perf_counter()
    model.fit(rated, epochs=epochs, num_threads=workers)
    seconds = time.perf_counter() - began
    items = torch.cat([torch.as_tensor(model.item_embeddings), torch.as_tensor(model.item_biases)[:, None]], 1)
    users = torch.cat([torch.as_tensor(model.user_embeddings), torch.ones(PEOPLE, 1)], 1)
    return Found(rated.nnz * epochs / seconds, _ranked(users, items, data))


def _put(weight: Tensor, rows: Tensor, values: Any) -> None:
    with torch.no_grad():
        weight[rows] = torch.as_tensor(values)


def _ranked(users: Tensor, items: Tensor, data: Data) -> float:
    module = MatrixFactorization(PEOPLE, THINGS, rank=users.shape[1])
    _put(module.users.weight, torch.arange(PEOPLE), users)
    _put(module.items.weight, torch.arange(THINGS), items)
    return evaluate(module, data, data.test).value


def liked() -> Data:
    """The pairs with a high rating, of users and items drawn by Zipf's law, for ranking."""
    ratings = zipf_ratings(PEOPLE, THINGS, RATINGS)
    parts = [split.tensors() for split in (ratings.train, ratings.test)]
    pairs, values = (torch.cat([part[name] for part in parts]) for name in ("pairs", "values"))
    is_liked = values > LIKED
    return of_ratings("liked", pairs[is_liked], values[is_liked], PEOPLE, THINGS, ranks=True)


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.embeddings", description="Embeddings beside other packages.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    given = parser.parse_args()
    torch.set_num_threads(1)
    text, pairs = zipf_text(WORDS, LENGTH), liked()
    contests: dict[str, tuple[Data, dict[str, Contestant]]] = {
        "text": (
            text,
            {"hogwild": partial(ours, text, partial(SkipGram, WORDS), 6), "gensim": partial(gensim, text, 1)},
        ),
        "ratings": (
            pairs,
            {
                "hogwild": partial(ours, pairs, partial(MatrixFactorization, PEOPLE, THINGS), 10),
                "implicit": partial(implicit, pairs, 10),
                "lightfm": partial(lightfm, pairs, 10),
            },
        ),
    }
    found: dict[tuple[str, str, int], list[Found]] = {}
    missing: dict[str, str] = {}
    for name, (_, contestants) in contests.items():
        for _ in range(given.rounds):
            for workers in given.workers:
                for package, contestant in contestants.items():
                    if package in missing:
                        continue
                    try:
                        reached = contestant(workers)
                    except MissingError as error:
                        missing[package] = str(error)
                    else:
                        found.setdefault((name, package, workers), []).append(reached)
    packages = [package for package in ("gensim", "implicit", "lightfm") if package not in missing]
    versions = "; ".join([f"{package} {package_version(package)}" for package in packages]) or "No other package here"
    left_out = "".join(f" Left out: {why}." for why in missing.values())
    lines = [
        f"| {name} | {package} | {workers} | {max(each.pairs_per_s for each in rounds):,.0f} "
        f"| {contests[name][0].metric} | {sum(each.quality for each in rounds) / len(rounds):.3f} |\n"
        for (name, package, workers), rounds in found.items()
    ]
    page = HEAD.format(
        length=LENGTH, words=WORDS, width=WIDTH, pairs=len(pairs.train), people=PEOPLE, things=THINGS, rank=RANK,
        rounds=given.rounds, versions=f"{versions}.{left_out}",
    )  # fmt: skip
    page += "".join(lines) + TAIL.format(lr=LR)
    given.out.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
