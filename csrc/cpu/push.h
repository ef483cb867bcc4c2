// A push and an average over whole flat buffers in host memory. Host only.
#pragma once

#include "../rule.h"

namespace hogwild::cpu {

PushStats push(const PushPlan& plan, const PushCall& call);

void weighted_sum(Dtype dtype, void* out, const std::vector<const void*>& inputs, const std::vector<double>& weights,
                  int64_t start, int64_t stop);
void copy(Dtype dtype, void* out, const void* in, int64_t start, int64_t stop);
int64_t count_nonfinite(Dtype dtype, const void* g, int64_t n);

}  // namespace hogwild::cpu
