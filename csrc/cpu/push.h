// A push and an average over whole flat buffers in host memory. Host only.
#pragma once

#include "../calls.h"

namespace hogwild::cpu {

PushStats push(const PushPlan& plan, const PushCall& call);

void weighted_sum(const WeightedSumCall& call);
void copy(const CopyCall& call);
int64_t count_nonfinite(const CountCall& call);

}  // namespace hogwild::cpu
