"""Pooled BatchNorm statistics, compared with those of the concatenated data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hogwild.nn import FullNorm1d
from hogwild.nn.pooling import pooled_buffers

MEAN, VAR, BATCHES = "0.running_mean", "0.running_var", "0.num_batches_tracked"


def net() -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.BatchNorm1d(3))


def statistics(chunk: torch.Tensor, batches: int) -> dict[str, torch.Tensor]:
    return {MEAN: chunk.mean(0), VAR: chunk.var(0, correction=0), BATCHES: torch.tensor(batches)}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_equals_the_statistics_of_the_concatenated_data(workers):
    torch.manual_seed(0)
    # worker i has seen i + 1 batches of 10 samples, around another mean
    chunks = [torch.randn(10 * (i + 1), 4) * (1 + i) + 5 * i for i in range(workers)]
    module = nn.Sequential(nn.BatchNorm1d(4))
    pooled = pooled_buffers(module, [statistics(chunk, i + 1) for i, chunk in enumerate(chunks)])
    together = torch.cat(chunks)
    torch.testing.assert_close(pooled[MEAN], together.mean(0))
    torch.testing.assert_close(pooled[VAR], together.var(0, correction=0))
    assert pooled[BATCHES] == workers
    assert [(name, value.dtype, value.shape) for name, value in pooled.items()] == [
        (name, value.dtype, value.shape) for name, value in module.named_buffers()
    ]


def test_from_real_forward_passes():
    """Layers that average cumulatively: the pool of two workers is one worker that has seen all equal-sized batches."""
    torch.manual_seed(1)
    batches = [torch.randn(64, 4) * 2 + i for i in range(6)]

    def run(seen: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        module = nn.Sequential(nn.BatchNorm1d(4, momentum=None))
        for batch in seen:
            module(batch)
        return dict(module.named_buffers())

    pooled = pooled_buffers(nn.Sequential(nn.BatchNorm1d(4)), [run(batches[:4]), run(batches[4:])])
    serial = run(batches)
    torch.testing.assert_close(pooled[MEAN], serial[MEAN])
    # serial averages the variances within batches only; the pool adds the variance between the two workers' means
    between = (4 / 6) * (2 / 6) * (run(batches[:4])[MEAN] - run(batches[4:])[MEAN]).square()
    torch.testing.assert_close(pooled[VAR], serial[VAR] + between)


def test_one_worker_keeps_its_statistics():
    module = net()
    for _ in range(3):
        module(torch.randn(8, 4))
    pooled = pooled_buffers(net(), [dict(module.named_buffers())])
    assert all(torch.equal(pooled[name], value) for name, value in module.named_buffers())


def test_workers_without_batches_have_no_weight():
    chunk = torch.randn(20, 4)
    idle = {MEAN: torch.full((4,), 1e6), VAR: torch.full((4,), 1e6), BATCHES: torch.tensor(0)}
    pooled = pooled_buffers(nn.Sequential(nn.BatchNorm1d(4)), [idle, statistics(chunk, 2), idle])
    torch.testing.assert_close(pooled[MEAN], chunk.mean(0))
    torch.testing.assert_close(pooled[VAR], chunk.var(0, correction=0))


def test_without_any_batch_the_initial_values_stay():
    module = net()
    module[0].running_mean.fill_(3.0)
    idle = {
        name: torch.full_like(value, 7) if value.is_floating_point() else value
        for name, value in module.named_buffers()
    }
    for per_worker in ([], [idle, idle]):
        pooled = pooled_buffers(module, per_worker)
        assert pooled[MEAN].tolist() == [3.0] * 4
        assert pooled[VAR].tolist() == [1.0] * 4
        assert pooled[MEAN] is not module[0].running_mean
        assert pooled[MEAN].data_ptr() != module[0].running_mean.data_ptr()


def test_variance_is_never_negative():
    """E[x^2] - E[x]^2 loses all digits at a mean of 1024.7 and no variance."""
    huge = {MEAN: torch.full((4,), 1024.7), VAR: torch.zeros(4), BATCHES: torch.tensor(3)}
    pooled = pooled_buffers(nn.Sequential(nn.BatchNorm1d(4)), [huge, huge, huge])
    assert pooled[VAR].min() >= 0
    assert pooled[VAR].max() < 1e-12


def test_other_buffers_and_untouched_inputs():
    class Other(nn.Module):
        def __init__(self, scale: float, count: int, flag: bool) -> None:
            super().__init__()
            self.register_buffer("scale", torch.tensor([scale, 2.0]))
            self.register_buffer("count", torch.tensor(count))
            self.register_buffer("flag", torch.tensor([flag, False]))

    workers = [Other(1.0, 5, False), Other(4.0, 9, True)]
    before = [{name: value.clone() for name, value in worker.named_buffers()} for worker in workers]
    pooled = pooled_buffers(Other(0.0, 0, False), [dict(worker.named_buffers()) for worker in workers])
    assert pooled["scale"].tolist() == [2.5, 2.0]
    assert pooled["count"].item() == 9
    assert pooled["flag"].tolist() == [True, False]
    for worker, values in zip(workers, before, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in worker.named_buffers())


def test_module_without_buffers():
    assert pooled_buffers(nn.Linear(2, 2), [{}, {}]) == {}


def test_layer_without_running_statistics():
    assert pooled_buffers(nn.BatchNorm1d(3, track_running_stats=False), [{}, {}]) == {}


def test_missing_or_misshaped_buffer_is_named():
    module = nn.Sequential(nn.BatchNorm1d(4))
    good = statistics(torch.randn(5, 4), 1)
    with pytest.raises(ValueError, match=r"worker 1 has no buffer '0.running_var'"):
        pooled_buffers(module, [good, {MEAN: good[MEAN]}])
    with pytest.raises(ValueError, match=r"worker 0: 0.running_mean is \[3\], \[4\] in the module"):
        pooled_buffers(module, [good | {MEAN: torch.zeros(3)}])


def test_full_norm_pools_by_batches_and_its_gradients_by_theirs():
    generator = torch.Generator().manual_seed(3)
    workers = []
    for batches, gradients in ((4, 3), (0, 0), (9, 5)):
        layer = FullNorm1d(4)
        for name, buffer in layer.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.randn(4, generator=generator))
            else:
                buffer.fill_(batches if name == "num_batches_tracked" else gradients)
        workers.append(dict(layer.named_buffers()))
    pooled = pooled_buffers(FullNorm1d(4), workers)
    for name, (first, last) in {
        "running_mean": (4, 9), "running_square": (4, 9), "running_mean_grad": (3, 5), "running_square_grad": (3, 5),
    }.items():  # fmt: skip
        want = (first * workers[0][name] + last * workers[2][name]) / (first + last)
        torch.testing.assert_close(pooled[name], want, rtol=1e-6, atol=1e-7)
    assert (int(pooled["num_batches_tracked"]), int(pooled["num_gradients_tracked"])) == (9, 5)


def test_full_norm_without_batches_keeps_its_initial_values():
    idle = {name: torch.full_like(value, 7) if value.is_floating_point() else value
            for name, value in FullNorm1d(4).named_buffers()}  # fmt: skip
    for per_worker in ([], [idle, idle]):
        pooled = pooled_buffers(FullNorm1d(4), per_worker)
        assert pooled["running_square"].tolist() == [1.0] * 4
        assert pooled["running_mean_grad"].tolist() == [0.0] * 4
