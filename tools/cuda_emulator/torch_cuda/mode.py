"""The wrapper of every torch function: places its results on a device, and runs it after all enqueued operations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torch_cuda import copies, generators, library
from torch_cuda.library import ELSEWHERE, HOST, PINNED


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions that need no device: they read metadata of a tensor, or return the same memory in another shape.
PLAIN = words(
    """__get__ __set__ __len__ __hash__ __iter__ _has_compatible_shallow_copy_type _parse_to _set_grad_enabled data_ptr
    detach dim element_size expand is_complex is_contiguous is_floating_point is_inference is_same_size movedim narrow
    ndimension nelement numel permute register_hook requires_grad_ retain_grad select size squeeze storage_offset
    stride t transpose unbind unflatten unsqueeze untyped_storage view view_as"""
)
# Functions that return Python values, so the host waits.
TELLING = words(
    """__bool__ __contains__ __float__ __format__ __index__ __int__ __repr__ allclose equal is_nonzero item
    tolist"""
)
WAITING = TELLING | words("masked_select nonzero unique")
# Functions that copy numbers from the host, or return the tensor itself if it is on the right device already.
READING, ALIASING = words("as_tensor asarray tensor"), words("as_tensor asarray")
# Functions that accept arguments on several devices.
MIXING = words("__deepcopy__ __reduce_ex__ __setitem__ backward grad index_put_ set_ type_as")


class Emulation(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(function, "__name__", ""), kwargs or {}
        if name in PLAIN:
            return tagged(function(*args, **kwargs), args)
        if name in SPECIAL and isinstance(args[0], Tensor):
            return SPECIAL[name](*args, **kwargs)
        return run(function, name, args, kwargs)


def run(function: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors, wanted = list(tensors_in((args, kwargs))), kwargs.get("device")
    places = {library.place(tensor) for tensor in tensors}
    home = max(places, default=HOST)
    where = home if wanted is None else library.resolve(wanted)
    if ELSEWHERE in (*places, where):
        return function(*args, **kwargs)
    if wanted is not None:
        kwargs = kwargs | {"device": "cpu"}
    if kwargs.get("pin_memory"):
        where, kwargs = PINNED, kwargs | {"pin_memory": False}
    if name in ALIASING and tensors and where != home:
        return run(function, name, (copies.move(args[0], where), *args[1:]), kwargs)
    generators.check(kwargs.get("generator"), where)
    if where < 0 and home < 0:
        return function(*args, **kwargs)
    check_places(name, args, tensors)
    if name in WAITING or (name in READING and 0 <= where < PINNED and not tensors):
        copies.check_waiting()
    library.finish()
    with library.inside(HOST if name in TELLING else where), generators.drawing(name, where):
        return tagged(function(*args, **kwargs), (), where)


def check_places(name: str, args: Any, tensors: list[Tensor]) -> None:
    """Raises RuntimeError as torch does, for tensors on several devices, except numbers in the host's memory."""
    if name in MIXING or (name == "__getitem__" and library.place(args[0]) >= 0):
        return
    places = {place for t in tensors if (place := library.place(t)) >= 0 or t.dim()}
    if len(places) > 1:
        names = " and ".join(sorted({str(library.name(place)) for place in places}))
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {names}!")


def tensors_in(nest: Any) -> Iterator[Tensor]:
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, (tuple, list)):
        for value in nest:
            yield from tensors_in(value)
    elif isinstance(nest, dict):
        yield from tensors_in(tuple(nest.values()))


def tagged(result: Any, args: Any, where: int | None = None) -> Any:
    """Store the device on a tensor without elements, because it has no address from which to tell the device."""
    if isinstance(result, Tensor) and not result.is_meta and result.layout is torch.strided and not result.numel():
        if where is None:
            where = max(map(library.place, tensors_in(args)), default=HOST)
        result._place = where
    return result


def numpy(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    if (place := library.place(tensor)) >= 0:
        raise TypeError(
            f"can't convert {library.name(place)} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
            "host memory first."
        )
    return Tensor.numpy(tensor, *args, **kwargs)


def embedding_bag(bags: Tensor, weight: Tensor, offsets: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
    """torch's own makes the offsets of bags [n, size] on the device by its name, where no function is emulated."""
    where = library.place(bags)
    if offsets is None and where >= 0 and bags.dim() == 2:
        with library.inside(where):
            offsets, bags = torch.arange(0, bags.numel(), bags.shape[1]), bags.reshape(-1)
            if (weights := kwargs.get("per_sample_weights")) is not None:
                kwargs = kwargs | {"per_sample_weights": weights.reshape(-1)}
    return run(torch.nn.functional.embedding_bag, "embedding_bag", (bags, weight, offsets, *args), kwargs)


SPECIAL: dict[str, Callable[..., Any]] = {
    "to": copies.to,
    "cpu": lambda tensor, **_: copies.to(tensor, "cpu"),
    "cuda": lambda tensor, device=None, non_blocking=False, **_: copies.to(
        tensor, "cuda" if device is None else device, non_blocking=non_blocking
    ),
    "copy_": copies.copy_,
    "pin_memory": copies.pin_memory,
    "is_pinned": lambda tensor, *_: copies.is_pinned(tensor),
    "get_device": library.place,
    "embedding_bag": embedding_bag,
    "numpy": numpy,
    "__array__": lambda tensor, *args: numpy(tensor).__array__(*args),
}


def device_of(tensor: Tensor) -> torch.device:
    with torch._C.DisableTorchFunction():
        here = torch._C.TensorBase.device.__get__(tensor)
        return library.name(library.place(tensor)) if here.type == "cpu" else here


def install() -> None:
    Tensor.device = property(device_of)
    Tensor.is_cuda = property(lambda tensor: device_of(tensor).type == "cuda")
    Tensor.is_cpu = property(lambda tensor: device_of(tensor).type == "cpu")
    begin = threading.Thread._bootstrap_inner

    def begin_emulated(thread: threading.Thread) -> None:
        with Emulation():
            begin(thread)

    threading.Thread._bootstrap_inner = begin_emulated
    Emulation().__enter__()
