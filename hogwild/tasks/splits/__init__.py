"""Kinds of splits: how samples are stored and how a batch of them is made."""

from hogwild.tasks.splits.dataset import DatasetSplit as DatasetSplit
from hogwild.tasks.splits.image import ImageSplit as ImageSplit
from hogwild.tasks.splits.sparse import SparseSplit as SparseSplit
from hogwild.tasks.splits.tensor import TensorSplit as TensorSplit
from hogwild.tasks.splits.text import TextSplit as TextSplit
