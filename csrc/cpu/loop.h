// The CPU's loops over one contiguous range. They contain vectors and accumulators but no equation. Included by
// kernels.cpp only, which is compiled once per instruction set; HW_ISA names its namespace.
#pragma once

#include <cassert>

#include "../mix.h"
#include "../numeric.h"
#include "../pair.h"
#include "../push.h"
#include "kernels.h"

namespace hogwild::cpu::HW_ISA {

// Sums of one range in the arithmetic type. A range has at most kPiece elements, so a count in float is exact; the
// caller adds the sums of ranges in double.
template <class T>
struct Sums {
  T gap_sq = 0, step_sq = 0, nonfinite = 0, share = 0, size_sq = 0;
};

// sum + a^2, with one rounding if the instruction set supports it. Only statistics may differ between instruction sets;
// buffers never do.
template <class T>
HW_HD T add_square(T sum, T a) {
#ifdef __FMA__
  if constexpr (sizeof(T) == 4)
    return __builtin_fmaf(a, a, sum);
  else
    return __builtin_fma(a, a, sum);
#else
  return sum + a * a;
#endif
}

// The pragma asserts that iterations are independent, which they are: the buffers of a push do not overlap. With the
// Atomic policy the compare-and-exchange keeps the compiler from using vectors.
template <class Stages, class Access, class T, class G>
Sums<T> push_loop(const Buffers<T> at, const G* g, int64_t n, const Hyper<T> h) {
  assert(n <= kPiece);
  T gap_sq = 0, step_sq = 0, nonfinite = 0, share = 0, size_sq = 0;
#pragma omp simd reduction(+ : gap_sq, step_sq, nonfinite, share, size_sq)
  for (int64_t i = 0; i < n; ++i) {
    const Observed<T> seen = Stages::template element<Access, Access>(at, i, widen<T>(g[i]), h);
    if constexpr (Stages::measures_gap) gap_sq = add_square(gap_sq, seen.gap);
    step_sq = add_square(step_sq, seen.step);
    if constexpr (Stages::may_be_nonfinite) nonfinite += seen.nonfinite;
    if constexpr (Stages::penalises_elements) share += seen.share;
    if constexpr (Stages::uses_rows) size_sq = add_square(size_sq, seen.size);
  }
  Sums<T> sums;
  sums.gap_sq = gap_sq;
  sums.step_sq = step_sq;
  sums.nonfinite = nonfinite;
  sums.share = share;
  sums.size_sq = size_sq;
  return sums;
}

// For parameters without a gradient. Returns the sum of squared gaps before the call.
template <class Idle, class Access, class T>
T idle_loop(const Buffers<T> at, int64_t n, const Hyper<T> h) {
  T gap_sq = 0;
#pragma omp simd reduction(+ : gap_sq)
  for (int64_t i = 0; i < n; ++i) gap_sq = add_square(gap_sq, Idle::template element<Access>(at, i, h));
  return gap_sq;
}

// sum (x - snapshot)^2
template <class T>
T gap_loop(const Buffers<T> at, int64_t n) {
  T gap_sq = 0;
#pragma omp simd reduction(+ : gap_sq)
  for (int64_t i = 0; i < n; ++i) gap_sq = add_square(gap_sq, at.x[i] - at.snapshot[i]);
  return gap_sq;
}

// Counts in an integer as wide as T, which vectorises everywhere. It uses four counters, because each addition to a
// single one would wait for the previous addition.
template <class T, class G>
void scan_loop(const G* g, int64_t n, Scan& scan) {
  std::conditional_t<sizeof(T) == 4, int32_t, int64_t> nonfinite = 0;
  T sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  const auto visit = [&nonfinite](T& sum, T element) {
    nonfinite += !hw_isfinite(element);
    sum = add_square(sum, element);
  };
  const int64_t quarter = n / 4;
#pragma omp simd reduction(+ : nonfinite, sum0, sum1, sum2, sum3)
  for (int64_t i = 0; i < quarter; ++i) {
    visit(sum0, widen<T>(g[i]));
    visit(sum1, widen<T>(g[quarter + i]));
    visit(sum2, widen<T>(g[2 * quarter + i]));
    visit(sum3, widen<T>(g[3 * quarter + i]));
  }
  for (int64_t i = 4 * quarter; i < n; ++i) visit(sum0, widen<T>(g[i]));
  scan.nonfinite += nonfinite;
  scan.grad_sq += static_cast<double>(sum0) + sum1 + sum2 + sum3;
}

// Counts the elements that are not finite, without their squares. Element by element, as in a copy.
template <class T, class G>
void deposit_loop(T* out, const G* g, int64_t n, Scan& scan) {
  std::conditional_t<sizeof(T) == 4, int32_t, int64_t> nonfinite = 0;
#pragma omp simd reduction(+ : nonfinite)
  for (int64_t i = 0; i < n; ++i) {
    const T element = widen<T>(g[i]);
    nonfinite += !hw_isfinite(element);
    out[i] = element;
  }
  scan.nonfinite += nonfinite;
}

// A few inputs at once, with their sum in a register; `out` may be one of them.
template <int kCount, class T>
void weighted_few(T* out, const void* const* inputs, const double* weights, int64_t offset, int64_t n) {
  const T* input[kCount];
  T weight[kCount];
  for (int j = 0; j < kCount; ++j) {
    input[j] = static_cast<const T*>(inputs[j]) + offset;
    weight[j] = static_cast<T>(weights[j]);
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    T sum = 0;
    for (int j = 0; j < kCount; ++j) sum = WeightedSum::term(sum, weight[j], input[j][i]);
    out[offset + i] = sum;
  }
}

// Blocks of the output stay in L1 while the inputs are added; `out` may be one of them.
template <class T>
void weighted_many(T* out, const void* const* inputs, const double* weights, int64_t count, int64_t offset, int64_t n) {
  constexpr int64_t kBlock = 1024;
  T sum[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t size = n - begin < kBlock ? n - begin : kBlock;
    for (int64_t i = 0; i < size; ++i) sum[i] = 0;
    for (int64_t j = 0; j < count; ++j) {
      const T* input = static_cast<const T*>(inputs[j]) + offset + begin;
      const T weight = static_cast<T>(weights[j]);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) sum[i] = WeightedSum::term(sum[i], weight, input[i]);
    }
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) out[offset + begin + i] = sum[i];
  }
}

template <class T>
void weighted_sum_loop(T* out, const void* const* inputs, const double* weights, int64_t count, int64_t offset,
                       int64_t n) {
  switch (count) {
    case 1:
      return weighted_few<1>(out, inputs, weights, offset, n);
    case 2:
      return weighted_few<2>(out, inputs, weights, offset, n);
    case 3:
      return weighted_few<3>(out, inputs, weights, offset, n);
    case 4:
      return weighted_few<4>(out, inputs, weights, offset, n);
    default:
      return weighted_many(out, inputs, weights, count, offset, n);
  }
}

// Element by element, not with memcpy: other workers write the source meanwhile, and an element must not tear.
template <class T>
void copy_loop(T* out, const T* in, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = in[i];
}

// The four do not overlap.
template <class T>
void lagging_pair_loop(T* a, T* b, T* lag_a, T* lag_b, T rest_a, T rest_b, T gain, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const PairChange<T> change(a[i], b[i], lag_a[i], lag_b[i], rest_a, rest_b, gain);
    a[i] += change.a;
    b[i] += change.b;
    lag_a[i] += change.lag_a;
    lag_b[i] += change.lag_b;
  }
}

// The two do not overlap.
template <class T>
void pair_loop(T* a, T* b, T weight, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T flux = PairAverage::flux(a[i], b[i], weight);
    a[i] += flux;
    b[i] -= flux;
  }
}

}  // namespace hogwild::cpu::HW_ISA
