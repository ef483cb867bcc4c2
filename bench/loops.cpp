// What the push is measured against: the loop that one would write by hand for one rule, and its bare memory traffic.
// Built at run time by loops.py for the machine at hand. No guard, no statistics, no rule but this one.
#include <cmath>
#include <cstdint>

extern "C" {

// Gap-Aware with momentum on racing buffers; the scalars are folded as in csrc/stages/penalty.h.
void gap_push(float* __restrict x, float* __restrict snapshot, float* __restrict v, float* __restrict s,
              const float* __restrict g, int64_t n, float lr, float momentum, float gap_decay, float gap_scale,
              float gap_floor) {
  for (int64_t i = 0; i < n; ++i) {
    const float gap = std::fabs(x[i] - snapshot[i]);
    s[i] = gap_decay * s[i] + (1 - gap_decay) * (v[i] * v[i]);
    const float c = gap_scale * std::sqrt(s[i]) + gap_floor;
    v[i] = momentum * v[i] + g[i] * (c / (c + gap));
    x[i] -= lr * v[i];
    snapshot[i] = x[i];
  }
}

// The same streams, five read and four written, with next to no arithmetic.
void streams(float* __restrict x, float* __restrict snapshot, float* __restrict v, float* __restrict s,
             const float* __restrict g, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = 1e-12f * g[i];
    x[i] += scaled;
    snapshot[i] += scaled;
    v[i] += scaled;
    s[i] += scaled;
  }
}
}
