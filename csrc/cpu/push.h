// A push and an average over whole flat buffers in host memory. Host only.
#pragma once

#include "../calls.h"

namespace hogwild::cpu {

PushStats push(const PushPlan& plan, const PushCall& call);

// x <- x + sum_j weights_j (neighbours_j - x), as a diffusion, and a push: in one pass, piece by piece in the cache. Of
// a push that is refused only its own part is left out.
PushStats push_among(const PushPlan& plan, const PushCall& call, const std::vector<const void*>& neighbours,
                     const std::vector<double>& weights);

// A push of the mean of gradients that lie in flat buffers like x, in one pass: the mean is made piece by piece, in the
// cache. They are finite, so no guard reads them; an element of the mean that is not (it overflows) is left out.
PushStats push_mean(const PushPlan& plan, PushCall call, const std::vector<const void*>& inputs);

// x <- the gradients, zeros where there is none; returns the count of elements that are not finite. `keeps`: if there
// are any, nothing is written.
int64_t deposit(const PushPlan& plan, const PushCall& call, bool keeps);

void weighted_sum(const WeightedSumCall& call);
void copy(const CopyCall& call);
int64_t count_nonfinite(const CountCall& call);

}  // namespace hogwild::cpu
