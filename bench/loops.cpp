// Rivals of pushes and pair average: hand-written loops, and plain memory traffic. loops.py builds them at run time for
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

// x_r -= lr g_r for rows of a table in the order given, and a count of each: what a sparse SGD push reads and writes, with
// the lines of the row `ahead` under way. It sums no duplicates and checks no row.
void table_rows(float* __restrict x, uint32_t* __restrict versions, const int64_t* __restrict rows,
                const float* __restrict g, int64_t count, int64_t dim, int64_t ahead, float lr) {
  for (int64_t i = 0; i < count; ++i) {
    if (i + ahead < count) {
      const float* next = x + rows[i + ahead] * dim;
      for (int64_t c = 0; c < dim; c += 16) __builtin_prefetch(next + c, 1, 3);
      __builtin_prefetch(versions + rows[i + ahead], 1, 3);
    }
    float* const row = x + rows[i] * dim;
    for (int64_t c = 0; c < dim; ++c) row[c] -= lr * g[i * dim + c];
    ++versions[rows[i]];
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
