"""Kinds of splits. Each kind stores its samples in its own form and makes batches of them."""

from hogwild.tasks.splits.dataset import DatasetSplit as DatasetSplit
from hogwild.tasks.splits.image import ImageSplit as ImageSplit
from hogwild.tasks.splits.ratings import RankingSplit as RankingSplit
from hogwild.tasks.splits.ratings import RatingsSplit as RatingsSplit
from hogwild.tasks.splits.skipgram import SkipGramSplit as SkipGramSplit
from hogwild.tasks.splits.sparse import SparseSplit as SparseSplit
from hogwild.tasks.splits.tensor import TensorSplit as TensorSplit
from hogwild.tasks.splits.text import TextSplit as TextSplit
