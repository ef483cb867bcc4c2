// A push and an average over whole flat buffers in host memory. Host only.
#pragma once

#include "../calls.h"

namespace hogwild::cpu {

// `mix`: x is mixed first, in the same pass; also if the gradient is refused. The padding is not.
PushStats push(const PushPlan& plan, const PushCall& call, const DiffusionCall* mix = nullptr);

// A push of the mean of gradients that lie in flat buffers like x, in one pass: the mean is made piece by piece, in the
// cache. It is made of finite numbers, and an element of it that is not finite is left out (GuardKind::element).
PushStats push_mean(const PushPlan& plan, PushCall call, const std::vector<const void*>& inputs);

// x <- the gradients, zeros where there is none; returns the count of elements that are not finite. `keeps`: if there
// are any, nothing is written.
int64_t deposit(const PushPlan& plan, const PushCall& call, bool keeps);

void weighted_sum(const WeightedSumCall& call);
void copy(const CopyCall& call);
int64_t count_nonfinite(const CountCall& call);

}  // namespace hogwild::cpu
