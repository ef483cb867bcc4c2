// Rivals of push and pair average: hand-written loops, and plain memory traffic. loops.py builds them at run time for
// this machine. They have no guard and no statistics, and only one rule.
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

// The same streams, five read and four written, with almost no arithmetic.
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

// Two replicas become their mean, without a lock: plain loads and stores on both sides.
void pair_plain(float* __restrict a, float* __restrict b, int64_t n, float weight) {
  for (int64_t i = 0; i < n; ++i) {
    const float flux = weight * (b[i] - a[i]);
    a[i] += flux;
    b[i] -= flux;
  }
}

static void add(float* p, float change) {
  float seen, after;
  __atomic_load(p, &seen, __ATOMIC_RELAXED);
  do after = seen + change;
  while (!__atomic_compare_exchange(p, &seen, &after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

// The same with every addition by compare-and-exchange: no addition is lost.
void pair_atomic(float* a, float* b, int64_t n, float weight) {
  for (int64_t i = 0; i < n; ++i) {
    const float flux = weight * (b[i] - a[i]);
    add(a + i, flux);
    add(b + i, -flux);
  }
}
}
