"""torch on an emulated GPU: the devices of tensors, the order of operations, refusals. Needs the emulator."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection

import pytest
import torch
from torch import Tensor, nn
from torch.utils.dlpack import from_dlpack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("HOGWILD_EMULATOR" not in os.environ, reason="python tools/cuda_emulator runs it"),
]
GPU = torch.device("cuda", 0)


def pinned(n: int) -> Tensor:
    return torch.randn(n).pin_memory()


def test_results_are_where_their_operands_are() -> None:
    x, y = torch.randn(5, 7, device="cuda"), torch.ones(7).cuda()
    views, results = (x[1:3, ::2], x.t(), x[0]), (x + y, 2 - x, x.sum(), x @ y, x.new_zeros(3), torch.zeros_like(x))
    for made in (*views, *results, x.to(torch.int64)):
        assert made.device == GPU
        assert made.is_cuda
        assert not made.is_cpu
    for made in (x.cpu(), x.to("cpu"), torch.zeros_like(x, device="cpu"), torch.tensor(x.tolist())):
        assert made.device == torch.device("cpu")
    assert torch.equal(x.cpu(), torch.tensor(x.tolist()))


def test_tensors_without_elements_have_a_device() -> None:
    assert torch.empty(0, device="cuda").is_cuda
    assert torch.randn(3, device="cuda")[3:].view(-1).is_cuda
    assert not torch.empty(0, device="cuda").cpu().is_cuda
    assert not torch.empty(0).is_cuda


def test_parameters_and_gradients() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Dropout(0.0), nn.ReLU(), nn.Linear(5, 3))
    inputs, losses = torch.randn(11, 7), []
    for device in ("cpu", "cuda"):
        module.zero_grad()
        module.to(device)
        here = inputs.clone().to(device).requires_grad_()
        loss = nn.functional.cross_entropy(module(here), torch.arange(11, device=device) % 3)
        loss.backward()
        grads = [here.grad, *(p.grad for p in module.parameters())]
        assert {g.device.type for g in grads} == {p.device.type for p in module.parameters()} == {device}
        losses.append([loss.item(), *(g.cpu() for g in grads)])
    torch.testing.assert_close(*losses)


def test_gradients_go_back_to_the_host() -> None:
    x = torch.randn(4, requires_grad=True)
    (x.cuda() * 3).sum().backward()
    assert not x.grad.is_cuda
    assert torch.equal(x.grad, torch.full((4,), 3.0))


@pytest.mark.parametrize("on_gpu", ["input", "weight"])
def test_a_forgotten_move_raises(on_gpu: str) -> None:
    values = {"input": torch.randn(3, 4), "weight": torch.randn(2, 4)}
    values[on_gpu] = values[on_gpu].cuda()
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        nn.functional.linear(**values)
    assert torch.equal((values[on_gpu] * torch.tensor(2.0)).cpu(), values[on_gpu].cpu() * 2)


def test_the_host_cannot_read_a_tensor_of_the_device() -> None:
    x = torch.randn(3, device="cuda")
    with pytest.raises(TypeError, match=r"Use Tensor.cpu\(\)"):
        x.numpy()
    with pytest.raises(RuntimeError, match="same device"):
        torch.randn(3)[torch.zeros(1, dtype=torch.int64, device="cuda")]
    with pytest.raises(RuntimeError, match="for generator"):
        x.normal_(generator=torch.Generator())
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        x.to("cuda:7")


def test_waiting_is_refused_in_the_error_mode() -> None:
    x, host = torch.randn(3, device="cuda"), pinned(3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for wait in (x.item, x.cpu, x.tolist, lambda: bool((x > 0).all()), lambda: x.copy_(torch.zeros(3))):
            with pytest.raises(RuntimeError, match="synchronizing CUDA operation"):
                wait()
        x.copy_(host, non_blocking=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(x.cpu(), host)


def test_non_blocking_copies_run_late() -> None:
    x, host = torch.randn(1000, device="cuda"), torch.zeros(1000).pin_memory()
    assert host.is_pinned()
    host.copy_(x, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    assert not host.any()
    arrived.synchronize()
    assert torch.equal(host, x.cpu())


def test_polling_an_event_ends() -> None:
    torch.cuda._sleep(2_000_000_000)
    event = torch.cuda.Event()
    event.record()
    assert not event.query()
    assert any(event.query() for _ in range(1000))


def test_streams_wait_for_each_other() -> None:
    first, second = torch.cuda.Stream(), torch.cuda.Stream()
    source, between, target = pinned(100), torch.zeros(100, device="cuda"), torch.zeros(100).pin_memory()
    with torch.cuda.stream(first):
        between.copy_(source, non_blocking=True)
        assert torch.cuda.current_stream().cuda_stream == first.cuda_stream
    second.wait_stream(first)
    with torch.cuda.stream(second):
        target.copy_(between, non_blocking=True)
    assert not target.any()
    second.synchronize()
    assert torch.equal(target, source)


def test_memory_is_not_given_out_again_before_its_use() -> None:
    """Neither memory of the device nor pinned memory of the host."""
    values, target = torch.randn(1000), torch.zeros(1000).pin_memory()
    on_gpu = values.pin_memory().to("cuda", non_blocking=True)
    target.copy_(on_gpu, non_blocking=True)
    address = on_gpu.data_ptr()
    del on_gpu
    others = [torch.empty(1000, pin_memory=True) for _ in range(3)]
    assert address not in [t.data_ptr() for t in others]
    torch.cuda.synchronize()
    assert torch.equal(target, values)


def test_new_memory_is_not_zero_and_all_of_it_is_given_back() -> None:
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    x = torch.empty(1 << 20, device="cuda")
    assert bool(x.isnan().all())
    assert free - torch.cuda.mem_get_info()[0] >= 4 << 20
    assert torch.cuda.get_device_properties(0).total_memory == total
    del x
    assert torch.cuda.mem_get_info() == (free, total)


def test_a_write_outside_of_an_allocation_ends_the_process() -> None:
    script = "import ctypes, torch; x = torch.zeros(33, device='cuda'); ctypes.memset(x.data_ptr() + {}, 0, 1); del x"
    for offset, code in ((131, 0), (132, -6), (-1, -6)):
        run = subprocess.run(
            [sys.executable, "-c", script.format(offset)], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == code
        assert ("written outside of an allocation: 132 bytes" in run.stderr) == (code != 0)


def test_random_numbers_are_the_devices_own() -> None:
    torch.manual_seed(5)
    of_host = torch.randn(3)
    of_device = [torch.randn(3, device="cuda"), torch.randn(3, device="cuda")]
    torch.manual_seed(5)
    assert torch.equal(torch.randn(3, device="cuda"), of_device[0])
    assert torch.equal(torch.randn(3), of_host)
    torch.cuda.manual_seed_all(5)
    assert torch.equal(torch.randn(3, device="cuda"), of_device[0])
    assert not torch.equal(*of_device)
    numbers = [torch.rand(3, device="cuda", generator=torch.Generator("cuda").manual_seed(2)) for _ in range(2)]
    assert torch.equal(*numbers)


def test_a_graph_does_nothing_until_it_is_replayed() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 4, device="cuda", requires_grad=True)
    inputs, count = torch.randn(3, 4, device="cuda"), torch.zeros((), device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        count += 1
        (g,) = torch.autograd.grad((inputs @ weight).tanh().square().sum(), weight)
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            count.item()
    assert count == 0
    for turn in range(3):
        inputs.normal_()
        graph.replay()
        (want,) = torch.autograd.grad((inputs @ weight).tanh().square().sum(), weight)
        assert torch.equal(g, want)
        assert count == turn + 1


def test_dlpack_names_the_device_of_the_memory() -> None:
    class Capsule:
        """A capsule that names a device, over the host's memory."""

    from hogwild._C import as_dlpack

    owner = torch.arange(10, dtype=torch.uint8)
    view = from_dlpack(as_dlpack(owner.data_ptr(), 10, 0, Capsule()))
    assert view.device == owner.device == GPU  # the address determines the device
    view.add_(1)
    del view
    assert owner.device == torch.device("cpu")
    assert torch.equal(owner, torch.arange(1, 11, dtype=torch.uint8))


def add_one(line: Connection) -> None:
    x, module = line.recv()
    x += 1
    line.send((x.device, x.stride(), [p.device for p in module.parameters()], x.data_ptr()))
    with pytest.raises(RuntimeError, match="received from another process"):
        line.send(x)
    line.send("done")


def test_another_process_has_the_same_memory() -> None:
    whole = torch.zeros(6, 5, device="cuda")
    part, module = whole[1:4, 1:3].t(), nn.Linear(3, 2).cuda()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=add_one, args=(theirs,), daemon=True)
    process.start()
    try:
        ours.send((part, module))
        assert ours.poll(60)
        device, stride, devices, address = ours.recv()
        assert (device, stride, set(devices)) == (GPU, part.stride(), {GPU})
        assert address != part.data_ptr()
        assert ours.recv() == "done"
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
    assert bool((part == 1).all())
    assert whole.sum() == 6


def test_the_states_of_all_generators_can_be_kept() -> None:
    torch.cuda.manual_seed_all(7)
    states = torch.cuda.get_rng_state_all()
    first = torch.rand(5, device="cuda").cpu()
    assert len(states) == torch.cuda.device_count()
    torch.cuda.set_rng_state_all(states)
    assert torch.equal(torch.rand(5, device="cuda").cpu(), first)


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_sparse_gradients_are_where_their_weight_is(layer: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module, rows = layer(5, 3, sparse=True), torch.tensor([[1, 2, 0], [0, 3, 1]])[:, 1:]
    found = []
    for device in ("cpu", "cuda"):
        module.zero_grad()
        module.to(device)
        module(rows.to(device)).square().sum().backward()
        g = module.weight.grad
        assert g.layout is torch.sparse_coo
        assert {g.device.type, g._values().device.type, g._indices().device.type} == {device}
        found.append([g._indices().cpu(), g._values().cpu()])
    torch.testing.assert_close(*found)
