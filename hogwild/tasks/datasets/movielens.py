"""MovieLens 100K and 1M: ratings of films, for matrix factorisation; a fixed tenth of the ratings is the test set.

As `..._bpr` the same pairs without their values, for ranking what a user rated above what was drawn at random.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read, read_bytes
from hogwild.tasks.data import Data
from hogwild.tasks.objectives import mean_squared_error
from hogwild.tasks.ranking import TOP, RootMeanSquaredError, bpr, sum_hits
from hogwild.tasks.readers.ratings import parse_ratings
from hogwild.tasks.readers.zipped import member
from hogwild.tasks.splits import RankingSplit, RatingsSplit

LIMIT_BYTES = 64 << 20
TEST_PART = 10  # one rating of so many


class Form(NamedTuple):
    """The file with the ratings, inside the archive and in its folder, and what stands between its fields."""

    member: str
    between: bytes


FORMS = {"ml-100k.zip": Form("ml-100k/u.data", b"\t"), "ml-1m.zip": Form("ml-1m/ratings.dat", b"::")}


def load(source: Source, folder: Path) -> Data:
    """Nine tenths for training, one for testing, by a permutation that never changes."""
    file = source.files[0]
    form = FORMS[file.name]
    if (folder / file.name).is_file():
        content, path = read(folder, file)
        content = member(content, form.member, path, LIMIT_BYTES)
    else:
        path = next((p for p in (folder / form.member, folder / Path(form.member).name) if p.is_file()), folder)
        content = read_bytes(path, LIMIT_BYTES)
    ratings = parse_ratings(content, form.between, path)
    pairs, values = torch.from_numpy(ratings.pairs), torch.from_numpy(ratings.values)
    return of_ratings(source.name, pairs, values, ratings.users, ratings.items, ranks=source.name.endswith("_bpr"))


def of_ratings(
    name: str, pairs: Tensor, values: Tensor, users: int, items: int, *, ranks: bool, note: str = ""
) -> Data:
    """The data of pairs [n, 2] and values [n]. `ranks`: pairwise ranking by BPR, else squared errors of the values."""
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    cut = max(1, len(order) // TEST_PART)
    split = RankingSplit if ranks else RatingsSplit
    test, train = (split(pairs[part], values[part], users, items) for part in (order[:cut], order[cut:]))
    if ranks:
        return Data(
            name, train, test, (3,), classes=1, kind="ratings", metric=f"hits_at_{TOP}", loss=bpr, score=sum_hits,
            note=note,
        )  # fmt: skip
    return Data(
        name, train, test, (2,), classes=1, kind="ratings", metric="rmse", loss=mean_squared_error,
        score=RootMeanSquaredError(), note=note,
    )  # fmt: skip
