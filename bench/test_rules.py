"""Every fused rule, compared with memory traffic and with the chain of torch operations that it replaces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contestants import Contestant, compete
from bench.field import BUFFERS, DELAY, LR, Field
from bench.loops import Loops
from bench.rules import RULES
from bench.scale import SCALE
from bench.targets import CHAIN, PUSH
from bench.test_push import pushing
from hogwild.kernels import Push
from hogwild.rules import Guard, buffers_of


@pytest.fixture(scope="module", params=SCALE.rule_sizes, ids=str)
def field(request: pytest.FixtureRequest) -> Field:
    return Field(SCALE.rule_sizes[request.param])


@pytest.mark.benchmark(group="rules")
@pytest.mark.parametrize("name", RULES)
def test_every_fused_rule(benchmark: BenchmarkFixture, field: Field, loops: Loops | str, name: str) -> None:
    rule, lr = RULES[name], LR / DELAY if RULES[name].divides_lr else LR
    used = {"snapshot", *buffers_of(rule.momentum, rule.penalty, rule.compensation)}
    has_norms = rule.penalty is not None and rule.penalty.rows is not None

    def checked(kind: str, bytes: int, call: Callable[[], object]) -> Contestant:
        return field.checked(
            kind, bytes, call, gap=rule.penalty, momentum=rule.momentum, compensation=rule.compensation, lr=lr,
            snapshot=True,
        )  # fmt: skip

    push = Push(
        x=field.x, **{buffer: getattr(field, buffer) for buffer in BUFFERS if buffer in used},
        gap_state=field.gap_state if has_norms else None, segments=[(0, field.n)], penalty=rule.penalty,
        momentum=rule.momentum, compensation=rule.compensation, guard=Guard.ELEMENT,
    )  # fmt: skip
    contestants = {PUSH: checked("push", rule.bytes, pushing(push, field, lr=lr)), **field.streams()}
    if rule.chain is not None:
        contestants[CHAIN] = checked("rival", rule.bytes, rule.chain(field))
    if not isinstance(loops, str):
        contestants["AVX loop, streams only"] = Contestant("stream", 36, loops.streams(field.buffers, field.n))
    benchmark.extra_info["least_bytes"] = rule.least
    compete(benchmark, field.n, contestants, SCALE.push_rounds)
