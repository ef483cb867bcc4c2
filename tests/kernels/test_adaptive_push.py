"""Adaptive rules: torch.optim with one worker, the NumPy oracle with any counts, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import ADAPTIVE, Case, place, same_statistics

from hogwild.kernels import Push
from hogwild.rules import (
    Access,
    Adagrad,
    AdamW,
    AdamWDana,
    AdamWSlim,
    Compensation,
    Gap,
    Guard,
    HeavyBall,
    Lion,
    Momentum,
    OrMo,
    RMSprop,
)

betas = st.floats(0.0, 0.999)
epsilons = st.floats(1e-8, 1e-2)
flags = st.booleans()
adam = {"beta1": betas, "beta2": betas, "eps": epsilons, "decoupled": flags}
rules = st.one_of(
    *(st.builds(kind, **adam) for kind in (AdamW, AdamWSlim, AdamWDana)),
    st.builds(RMSprop, beta2=betas, eps=epsilons, eps_inside=flags, decoupled=flags),
    st.builds(Adagrad, eps=epsilons, decoupled=flags),
    st.builds(Lion, beta1=betas, beta2=betas, decoupled=flags),
)
gaps = st.none() | st.builds(
    Gap, st.floats(0.5, 0.999), st.floats(1e-10, 1e-4), unit=st.just("step"),
    size=st.sampled_from([None, "layer", "global"]),
)  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(
    sizes=st.lists(st.sampled_from((1, 17, 33, 4099)), min_size=1, max_size=3).map(tuple),
    momentum=rules,
    penalty=gaps,
    access=st.sampled_from([Access.RACING, Access.ATOMIC]),
    guard=st.sampled_from(list(Guard)),
    lr=st.floats(1e-4, 0.1),
    weight_decay=st.floats(0.0, 0.1),
    counts=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    clip=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**31),
)
def test_float64_equals_the_oracle(sizes, momentum, penalty, access, guard, lr, weight_decay, counts, clip, seed):
    case = Case(sizes=sizes, momentum=momentum, penalty=penalty, access=access, guard=guard, seed=seed)
    for pushes, lr_now in enumerate([lr, 2 * lr, lr / 3]):
        case.new_gradients()
        got, want = case.run(
            lr=lr_now, weight_decay=weight_decay, pushes=pushes + 9, lr_max=2 * lr, scale=-0.7,
            clip=clip if guard is Guard.PUSH else 0.0, v_pushes=counts[0] + pushes, q_pushes=counts[1] + pushes,
        )  # fmt: skip
        same_statistics(got, want, 1e-9)
    case.check(1e-9)


def test_the_counts_are_those_of_x_unless_they_are_given():
    for momentum in (AdamW(), AdamWSlim()):
        cases = [Case(momentum=momentum) for _ in range(2)]
        cases[0].push(cases[0].grads, lr=0.1, pushes=5, lr_max=0.1)
        cases[1].push(cases[1].grads, lr=0.1, pushes=99, lr_max=0.1, v_pushes=5, q_pushes=5)
        for name, buffer in cases[0].buffers.items():
            assert torch.equal(buffer, cases[1].buffers[name])


SHAPES = ((3, 5), (64, 17), (1,), (4099,))
TORCH: list[tuple[Momentum, type[torch.optim.Optimizer], dict[str, object]]] = [
    (AdamW(), torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.05}),
    (AdamW(beta1=0.5, beta2=0.9, eps=1e-3), torch.optim.AdamW, {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.0}),
    (AdamW(decoupled=False), torch.optim.Adam, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.05}),
    (RMSprop(eps=1e-4, eps_inside=False), torch.optim.RMSprop, {"alpha": 0.99, "eps": 1e-4, "weight_decay": 0.05}),
    (Adagrad(), torch.optim.Adagrad, {"eps": 1e-10, "weight_decay": 0.05}),
]
STATE = {  # torch's name of a state -> ours
    torch.optim.AdamW: {"exp_avg": "v", "exp_avg_sq": "q"},
    torch.optim.Adam: {"exp_avg": "v", "exp_avg_sq": "q"},
    torch.optim.RMSprop: {"square_avg": "q"},
    torch.optim.Adagrad: {"sum": "q"},
}


class Both:
    """The same parameters under a push and under an optimizer of torch."""

    def __init__(self, momentum, optimizer, options, lr: float, dtype: torch.dtype, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.lr, self.options = lr, options
        segments, self.n = place(tuple(torch.Size(shape).numel() for shape in SHAPES), dtype.itemsize)
        self.flat = {name: torch.zeros(self.n, dtype=dtype) for name in ("x", *momentum.buffers)}
        self.parameters = []
        for (offset, numel), shape in zip(segments, SHAPES, strict=True):  # in [1, 2): an ulp is the same all the way
            start = (1.25 + 0.5 * torch.rand(shape, generator=self.generator)).to(dtype)
            self.flat["x"][offset : offset + numel] = start.flatten()
            self.parameters.append(torch.nn.Parameter(start))
        self.segments = segments
        self.push = Push(**self.flat, segments=segments, momentum=momentum)
        self.optimizer = optimizer(self.parameters, lr=lr, foreach=False, **options)

    def set_state(self, steps: int) -> None:
        """Random moments after `steps` pushes in both."""
        for parameter, (offset, numel) in zip(self.parameters, self.segments, strict=True):
            state = self.optimizer.state[parameter]
            state["step"] = torch.tensor(float(steps))
            for theirs, ours in STATE[type(self.optimizer)].items():
                value = torch.randn(parameter.shape, generator=self.generator, dtype=parameter.dtype)
                state[theirs] = value if ours == "v" else value.square()
                self.flat[ours][offset : offset + numel] = state[theirs].flatten()

    def step(self, pushes: int) -> None:
        for parameter in self.parameters:
            parameter.grad = torch.randn(parameter.shape, generator=self.generator, dtype=parameter.dtype)
        decay = self.options["weight_decay"]
        gradients = [parameter.grad for parameter in self.parameters]
        self.push(gradients, lr=self.lr, weight_decay=decay, pushes=pushes, lr_max=self.lr)
        self.optimizer.step()

    def differences(self) -> list[torch.Tensor]:
        views = (self.flat["x"][offset : offset + numel] for offset, numel in self.segments)
        return [view - p.detach().flatten() for view, p in zip(views, self.parameters, strict=True)]


@pytest.mark.parametrize(("momentum", "optimizer", "options"), TORCH)
@pytest.mark.parametrize("steps", [0, 1, 7, 1000])
def test_one_push_from_any_state_is_torch_to_two_ulp(momentum, optimizer, options, steps):
    both = Both(momentum, optimizer, options, lr=1e-3, dtype=torch.float32, seed=steps)
    both.set_state(steps)
    both.step(steps)
    two_ulp = 2 * torch.finfo(torch.float32).eps
    assert max(float(difference.abs().max()) for difference in both.differences()) <= two_ulp


@pytest.mark.parametrize(("momentum", "optimizer", "options"), TORCH)
def test_a_hundred_pushes_are_torch(momentum, optimizer, options):
    both = Both(momentum, optimizer, options, lr=3e-3, dtype=torch.float64, seed=3)
    for pushes in range(100):
        both.step(pushes)
    for difference, parameter in zip(both.differences(), both.parameters, strict=True):
        assert float((difference / parameter.detach().flatten()).abs().max()) <= 1e-12


@pytest.mark.parametrize("momentum", [AdamW(eps=1e-12), AdamWSlim(eps=1e-12), Adagrad(eps=1e-12), Lion()])
def test_a_constant_factor_of_all_gradients_changes_nothing(momentum):
    whole, part = Case(momentum=momentum, seed=1), Case(momentum=momentum, seed=1)
    for case in (whole, part):
        for name in momentum.buffers:
            case.buffers[name].zero_()
    for pushes in range(20):
        whole.new_gradients()
        part.new_gradients()
        whole.push(whole.grads, lr=0.01, pushes=pushes, lr_max=0.01)
        part.push(part.grads, lr=0.01, pushes=pushes, lr_max=0.01, scale=1 / 7)
    torch.testing.assert_close(whole.buffers["x"], part.buffers["x"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("momentum", ADAPTIVE)
def test_a_gap_divides_the_step_and_not_the_gradient(momentum):
    """The moments are those without a penalty."""
    plain, penalised = Case(momentum=momentum), Case(momentum=momentum, penalty=Gap(unit="step"))
    for name, buffer in plain.buffers.items():
        penalised.buffers[name].copy_(buffer)
    for case in (plain, penalised):
        case.push(plain.grads, lr=0.1, pushes=4, lr_max=0.1)
    for name in momentum.buffers:
        assert torch.equal(plain.buffers[name], penalised.buffers[name])
    assert not torch.equal(plain.buffers["x"], penalised.buffers["x"])


REFUSED = [
    ({"momentum": AdamW(), "penalty": Gap()}, r"Gap.unit is 'v', and AdamW makes steps of another dimension"),
    ({"momentum": RMSprop(), "penalty": Gap(unit="g")}, r"Gap.unit is 'g', and RMSprop"),
    ({"momentum": Lion(), "penalty": Gap(unit="step", level="layer")}, "Lion takes a Gap of level element, not layer"),
    ({"momentum": AdamW(), "compensation": Compensation()}, "a Compensation is in the units of SGD, and AdamW scales"),
    (
        {"momentum": AdamW(decoupled=False), "penalty": Gap(unit="step", penalize_weight_decay=False)},
        "AdamW scales weight decay with the gradient",
    ),
    ({"momentum": AdamW(beta1=1.0)}, "AdamW has beta1 1.0: 0 <= beta1 < 1 is needed"),
    ({"momentum": RMSprop(beta2=-0.1)}, "RMSprop has beta2 -0.1"),
    ({"momentum": Adagrad(eps=0.0)}, "Adagrad has eps 0.0: eps > 0 is needed"),
    ({"momentum": OrMo(0.9, 2), "groups": ((0.5, 1.0),) * 5}, "OrMo moves all elements with one lr"),
    ({"momentum": HeavyBall(0.9), "penalty": Gap(), "groups": ((0.5, 1.0),) * 5}, "C is made with one lr"),
    ({"groups": ((1.0, 1.0),) * 3}, "groups has 3 pairs of factors, and there are 5 segments"),
    ({"groups": ((1.0, 1.0),) * 4 + ((-1.0, 1.0),)}, "the factors of segment 4 are -1.0 for lr and 1.0"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Case(**options)


GROUPS = ((1.0, 1.0), (0.5, 0.0), (0.0, 3.0), (2.0, 1.0), (1.0, 0.25))


@pytest.mark.parametrize("has_gradients", [True, False])
@pytest.mark.parametrize(
    ("momentum", "penalty"),
    [(None, None), (HeavyBall(0.9), Gap(unit="step")), (AdamW(), None), (AdamWDana(), Gap(unit="step", size="layer"))],
)
def test_a_group_has_its_own_lr_and_weight_decay(momentum, penalty, has_gradients):
    """As a push of that segment alone with these."""
    call = {"pushes": 3, "lr_max": 0.2}
    grouped = Case(momentum=momentum, penalty=penalty, groups=GROUPS)
    for k, (lr, decay) in enumerate(GROUPS):
        alone = Case(momentum=momentum, penalty=penalty)
        alone.grads = alone.grads if has_gradients else [None] * len(GROUPS)
        alone.push(alone.grads, lr=0.1 * lr, weight_decay=0.04 * decay, **call)
        offset, numel = alone.segments[k]
        if k == 0:
            grouped.push(alone.grads, lr=0.1, weight_decay=0.04, **call)
        for name, buffer in alone.buffers.items():
            part = slice(offset, offset + numel)
            torch.testing.assert_close(grouped.buffers[name][part], buffer[part], rtol=1e-14, atol=1e-15)
