"""Exchanges and diffusions on CUDA against the CPU's, to the bit, and sums conserved across streams. Needs a GPU."""

from __future__ import annotations

import pytest
import torch
from exchange_cases import BUFFERS, ExchangeCase
from kernel_cases import SIZES

from hogwild.kernels import Exchange, build_info, diffuse
from hogwild.rules import Access

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]
DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC, Access.LOCKED])
@pytest.mark.parametrize("kind", BUFFERS)
def test_equals_the_cpu(kind, access, dtype):
    spans = [(n, None, None) for n in (*SIZES, 100_003)]
    for n, start, stop in [*spans, (4099, 3, 17), (4099, 31, 4000), (4099, 4097, None), (4099, 7, 7)]:
        gpu, cpu = (ExchangeCase(kind, n, dtype, device, seed=n) for device in ("cuda", "cpu"))
        for case in (gpu, cpu):
            case.run(Exchange(access), start=start, stop=stop)
        for name, buffer in cpu.buffers.items():
            assert torch.equal(gpu.buffers[name].cpu(), buffer), (n, start, stop, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exchanges_of_two_streams_conserve_the_sum(dtype):
    n, times = 100_003, 200
    generator = torch.Generator().manual_seed(0)
    center, *x = (torch.randn(n, generator=generator, dtype=torch.float64).to(dtype).cuda() for _ in range(3))
    kick = torch.randn(n, generator=generator, dtype=torch.float64).to(dtype).cuda()
    before = torch.stack([center, *x]).double().sum(0)
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in x]
    exchange = Exchange(Access.ATOMIC)
    for turn in range(times):
        for stream, replica in zip(streams, x, strict=True):
            with torch.cuda.stream(stream):
                replica.add_(kick, alpha=1 - 2 * (turn % 2))
                exchange.elastic(replica, center, 0.3)
    torch.cuda.synchronize()
    drift = (torch.stack([center, *x]).double().sum(0) - before).abs().max()
    assert float(drift) <= 2 * times * 4 * torch.finfo(dtype).eps


def test_mailboxes_of_two_streams_lose_nothing():
    n, times = 100_003, 200
    sender, receiver, box = (torch.zeros(n, device="cuda") for _ in range(3))
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(2)]
    exchange = Exchange(Access.ATOMIC)
    for _ in range(times):
        with torch.cuda.stream(streams[0]):
            sender.add_(1)
            exchange.send(box, sender, 1.0)
        with torch.cuda.stream(streams[1]):
            exchange.drain(receiver, box)
    torch.cuda.synchronize()
    assert bool((sender + receiver + box == times).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_diffusions_equal_the_cpu(count, dtype):
    generator = torch.Generator().manual_seed(count)
    own, out, correction, *neighbours = (
        torch.randn(70_001, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3 + count)
    )
    weights = [1 / (count + 2)] * count
    for start, stop in [(None, None), (3, 17), (31, 4000)]:
        got_out, got_correction = out.cuda(), correction.cuda()
        diffuse(got_out, own.cuda(), [t.cuda() for t in neighbours], weights, got_correction, start=start, stop=stop)
        diffuse(out, own, neighbours, weights, correction, start=start, stop=stop)
        assert torch.equal(got_out.cpu(), out)
        assert torch.equal(got_correction.cpu(), correction)


def test_locks_are_for_the_cpu():
    x, center = torch.zeros(32, device="cuda"), torch.zeros(32, device="cuda")
    with pytest.raises(ValueError, match="is for buffers on the CPU"):
        Exchange(Access.STRIPED, 128, 1).elastic(x, center, 0.1)
