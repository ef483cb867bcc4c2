"""Ratings and words: their readers, batches, losses, scores and synthetic twins."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hogwild import tasks
from hogwild.errors import DataError, UsageError
from hogwild.tasks.catalog import SOURCES
from hogwild.tasks.datasets.text8 import numbered, of_words
from hogwild.tasks.datasets.zipf import draw, zipf_ratings, zipf_text
from hogwild.tasks.inspect_data import load_known
from hogwild.tasks.ranking import RootMeanSquaredError, bpr, negative_sampling, sum_auc, sum_hits
from hogwild.tasks.readers.ratings import parse_ratings
from hogwild.tasks.readers.zipped import member
from hogwild.tasks.splits import RankingSplit, SkipGramSplit
from hogwild.tasks.splits.skipgram import chances

RATINGS = b"196\t242\t3\t881250949\n7\t242\t5\t1\n196\t51\t1.5\t2\n"
X = Path("x")


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_ids_are_numbered_in_their_order():
    found = parse_ratings(RATINGS, b"\t", X)
    assert found.pairs.tolist() == [[1, 1], [0, 1], [1, 0]]
    assert found.values.tolist() == [3.0, 5.0, 1.5]
    assert (found.users, found.items) == (2, 2)
    assert parse_ratings(RATINGS.replace(b"\t", b"::"), b"::", X).values.tolist() == [3.0, 5.0, 1.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1\t2\t3", "x:4: 3 fields, 4 are needed"),
        (b"", "x:4: 1 fields"),
        (b"0\t2\t3\t4", "x:4: user '0' is no positive 32-bit integer"),
        (b"1\t-2\t3\t4", "x:4: item '-2' is no positive"),
        (b"1\t9999999999999\t3\t4", "x:4: item '9999999999999' is no positive"),
        (b"1\t2\t6\t4", "x:4: rating '6' is no number from 0 to 5"),
        (b"1\t2\tnan\t4", "x:4: rating 'nan' is no number"),
        (b"1\t2\t\xff\t4", "x:4: rating .* is no number"),
    ],
)
def test_a_bad_rating_is_named_by_its_line(line: bytes, message: str):
    with pytest.raises(DataError, match=message):
        parse_ratings(RATINGS + line + b"\n1\t2\t3\t4\n", b"\t", X)
    with pytest.raises(DataError, match="x: is empty"):
        parse_ratings(b"", b"\t", X)


def test_a_member_of_an_archive_is_read_within_its_limit():
    content = zipped({"a/b": b"x" * 1000, "c": b"y"})
    assert member(content, "a/b", X, 1000) == b"x" * 1000
    with pytest.raises(DataError, match="x: a/b has 1,000 bytes, more than 999"):
        member(content, "a/b", X, 999)
    with pytest.raises(DataError, match="x: there is no d in it"):
        member(content, "d", X, 999)
    lying = content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(DataError, match=r"^x.*a/b"):
        member(lying, "a/b", X, 999)
    with pytest.raises(DataError, match="packed in a way"):
        member(zipped({"a": b"x"}, zipfile.ZIP_LZMA), "a", X, 999)
    for damaged in (content[:40], b"", b"PK\x03\x04" + bytes(50)):
        with pytest.raises(DataError, match=r"^x is not a whole zip archive|^x: there is no a/b"):
            member(damaged, "a/b", X, 999)


def movielens(folder: Path, name: str) -> tasks.Data:
    """500 ratings of 20 users and 30 items, as GroupLens would pack them."""
    rng = np.random.default_rng(0)
    pairs = {(int(u), int(i)) for u, i in zip(rng.integers(1, 21, 900), rng.integers(1, 31, 900), strict=True)}
    rows = "".join(f"{u}\t{i}\t{1 + (u + i) % 5}\t0\n" for u, i in sorted(pairs))
    (folder / "u.data").write_text(rows)
    return load_known(SOURCES[name], folder)


def test_ratings_from_an_unpacked_folder(tmp_path: Path):
    data = movielens(tmp_path, "movielens_100k")
    assert (data.train.users, data.train.items, data.metric) == (20, 30, "rmse")
    assert len(data.train) + len(data.test) > 400
    assert abs(len(data.test) - (len(data.train) + len(data.test)) / 10) < 1
    inputs, targets = data.train.batch(torch.tensor([3, 0]), train=True)
    assert (inputs.shape, inputs.dtype, targets.shape) == ((2, 2), torch.int32, (2,))
    assert torch.equal(data.train.batch(torch.tensor([3]), train=False)[0], inputs[:1])
    model = tasks.build_model("mf", data)
    assert [tuple(p.shape) for p in model.parameters()] == [(), (20, 16), (30, 16)]
    assert all(layer.sparse for layer in (model.users, model.items))
    assert model(inputs).shape == (2, 1)
    assert not data.larger_is_better


def test_ratings_as_a_ranking(tmp_path: Path):
    data = movielens(tmp_path, "movielens_100k_bpr")
    assert isinstance(data.train, RankingSplit)
    index = torch.arange(40)
    train, target = data.train.batch(index, train=True)
    test = data.test.batch(index, train=False)[0]
    assert (train.shape, test.shape, target.tolist()) == ((40, 3), (40, 101), [0] * 40)
    assert torch.equal(test, data.test.batch(index, train=False)[0])
    assert not torch.equal(train, data.train.batch(index, train=True)[0])
    assert set(test[:, 2:].reshape(-1).tolist()) == set(range(30))
    assert tasks.build_model("mf", data)(test).shape == (40, 100)
    assert data.larger_is_better


def test_a_missing_archive_is_named_with_its_source():
    with pytest.raises(DataError, match=r"movielens_1m: ml-1m\.zip not found .*https://files\.grouplens\.org/"):
        tasks.load("movielens_1m")
    with pytest.raises(DataError, match=r"text8: text8\.zip not found"):
        tasks.load("text8")


def test_matrix_factorisation_is_for_ratings():
    with pytest.raises(UsageError, match="'mf' takes ratings data, digits is image data"):
        tasks.build_model("mf", tasks.load("digits"))


TEXT = b"the cat the dog the cat rare the cat " * 60 + b"once"


def test_rare_words_are_left_out(tmp_path: Path):
    numbers, words = numbered(TEXT, X)
    assert words == ("the", "cat", "dog", "rare")
    assert numbers[:9].tolist() == [0, 1, 0, 2, 0, 1, 3, 0, 1]
    with pytest.raises(DataError, match="x: a word of 65 characters, more than 64"):
        numbered(b"x" * 65, X)
    with pytest.raises(DataError, match="x: 0 words that come 5 times or more are left"):
        numbered(b"", X)
    (tmp_path / "text8.zip").write_bytes(zipped({"text8": TEXT}))
    data = load_known(SOURCES["text8"], tmp_path)
    assert (len(data.train), len(data.test), data.classes) == (535, 5, 4)
    assert [tuple(p.shape) for p in tasks.build_model("skipgram", data).parameters()] == [(4, 64), (4, 64)]


def test_neighbours_lie_in_the_window_and_others_are_drawn_by_their_counts():
    words = torch.arange(1000, dtype=torch.int32)
    split = SkipGramSplit(words, chances(torch.arange(1, 1001)), window=3, negatives=50)
    index = torch.arange(1000)
    inputs, target = split.batch(index, train=True)
    assert torch.equal(inputs[:, 0], words)
    steps = set((inputs[:, 1] - words)[3:-3].tolist())
    assert steps == {-3, -2, -1, 1, 2, 3}
    assert ((inputs[:, 1] - words).abs()[[0, 1, -1]] <= 3).all()
    mean = torch.arange(1000).double() @ (torch.arange(1, 1001).double() ** 0.75)
    mean /= (torch.arange(1, 1001).double() ** 0.75).sum()
    assert inputs[:, 2:].double().mean() == pytest.approx(float(mean), rel=0.01)
    assert target.tolist() == [0] * 1000
    again = [split.batch(index, train=False)[0] for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(again[0], inputs)


OUTPUT = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.5, -1.0]])


def test_losses_and_scores_of_candidates():
    log = F.logsigmoid
    expected = -(log(torch.tensor([1.0, -1.0])).sum() + log(torch.tensor([0.0, 1.5])).sum()) / 4
    assert bpr(OUTPUT, None).item() == pytest.approx(float(expected))
    signs = torch.tensor([1.0, -1.0, -1.0])
    assert negative_sampling(OUTPUT, None).item() == pytest.approx(float(-log(OUTPUT * signs).sum() / 2))
    assert sum_auc(OUTPUT, None) == (2.5, 4)
    assert sum_hits(torch.tensor([[1.0, *[0.0] * 5, *[2.0] * 9], [1.0, *[1.0] * 14]]), None) == (1.0, 2)


def test_the_root_is_taken_of_the_mean_of_the_whole_set():
    score = RootMeanSquaredError()
    parts = [score(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 0.0])), score(torch.tensor([4.0]), torch.zeros(1))]
    assert score.finish(sum(s for s, _ in parts) / sum(n for _, n in parts)) == pytest.approx(math.sqrt(7))


def test_synthetic_rows_follow_zipfs_law():
    rows = draw(50, 200_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(rows, minlength=50).double()
    expected = 1 / torch.arange(1, 51).double()
    assert ((counts / 200_000 - expected / expected.sum()).abs() < 0.003).all()


def test_synthetic_ratings_have_the_variance_that_they_say():
    data = zipf_ratings(300, 200, 20_000)
    assert data.note.startswith("synthetic")
    everything = torch.cat([data.train.values, data.test.values])
    assert 0.8 < everything.var() < 1.4
    assert torch.equal(zipf_ratings(300, 200, 20_000).train.pairs, data.train.pairs)
    assert (len(data.train), len(data.test)) == (18_000, 2_000)
    assert int(data.train.pairs[:, 1].max()) < 200 < int(data.train.pairs[:, 0].max()) < 300


def test_synthetic_words_keep_to_topics():
    data = zipf_text(640, 50_000)
    words = torch.cat([data.train.words, data.test.words]).long()
    topic = words % 64
    near, far = (topic[1:] == topic[:-1]).double().mean(), (topic[5000:] == topic[:-5000]).double().mean()
    assert near > 2 * far
    assert of_words("w", words.int(), data.labels).classes == 640
