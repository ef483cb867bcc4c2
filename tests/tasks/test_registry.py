"""Known and unknown names. The registries do not import torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hogwild import tasks
from hogwild.errors import UsageError


def test_registries_need_neither_torch_nor_numpy():
    code = (
        "import sys; from hogwild import tasks; names = [*tasks.DATASETS, *tasks.MODELS, tasks.describe('mnist')];"
        "assert len(names) > 10; assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_name_has_a_description():
    assert list(tasks.DATASETS) == [
        "digits", "fashion_mnist", "mnist", "cifar10", "a9a", "tinyshakespeare", "movielens_100k", "movielens_100k_bpr",
        "movielens_1m", "text8", "zipf_ratings", "zipf_text",
    ]  # fmt: skip
    assert list(tasks.MODELS) == ["mlp", "lenet", "resnet20", "logistic", "charlm", "mf", "skipgram"]
    assert all(len(line) > 20 and "\n" not in line for line in (*tasks.DATASETS.values(), *tasks.MODELS.values()))


def test_default_models_are_known():
    assert all(tasks.default_model(name) in tasks.MODELS for name in tasks.DATASETS)
    assert tasks.default_model("my:data") == "mlp"


def test_unknown_data_set_suggests_the_nearest():
    with pytest.raises(UsageError) as error:
        tasks.load("fashon_mnist")
    assert str(error.value) == (
        "unknown data set 'fashon_mnist'. Did you mean 'fashion_mnist'? "
        f"Known: {', '.join(tasks.DATASETS)}; your own: --data module:function."
    )


def test_unknown_model_suggests_only_near_names():
    digits = tasks.load("digits")
    with pytest.raises(UsageError, match=r"unknown model 'resnet'\. Did you mean 'resnet20'\?"):
        tasks.build_model("resnet", digits)
    with pytest.raises(UsageError, match=r"unknown model 'zzz'\. Known: mlp, .*; your own: --model module:function"):
        tasks.build_model("zzz", digits)


def test_model_for_another_kind_of_data():
    digits = tasks.load("digits")
    with pytest.raises(
        UsageError, match=r"'charlm' takes text data, digits is image data\. Models that fit: mlp, lenet"
    ):
        tasks.build_model("charlm", digits)


def test_lazy_names_and_wrong_names():
    assert tasks.Data.__name__ == "Data"
    assert issubclass(tasks.ImageSplit, tasks.Split)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tasks.nothing
