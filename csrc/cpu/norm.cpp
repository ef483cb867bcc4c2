// The CPU's loops of Full Normalization: planes [outer, channels, inner], or rows [outer, channels] where inner is 1.
// They contain vectors, caches and layouts but no equation. Compiled once per instruction set: setup.py defines HW_ISA.
#include "../dispatch.h"
#include "../norm_call.h"
#include "kernels.h"
#include "lanes.h"

namespace hogwild::cpu::HW_ISA {
namespace {

struct Pair {
  double first, second;
};

template <class T, class X>
double as_double(X element) {
  return static_cast<double>(widen<T>(element));
}

// The sums of channel c over planes, in a fixed number of lanes: every instruction set then gives the same bits.
template <class Sums, class T, class X>
Pair plane_sums(const X* x, const X* g, const NormShape& shape, int64_t c, double mu_) {
  constexpr int kLanes = 16, kParts = kLanes / kWidth;
  const Doubles mu = Doubles{} + mu_;
  Doubles first[kParts] = {}, second[kParts] = {};
  Pair total{};
  for (int64_t n = 0; n < shape.outer; ++n) {
    const int64_t begin = (n * shape.channels + c) * shape.inner, end = begin + shape.inner;
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (int part = 0; part < kParts; ++part) {
        Doubles element, gradient{};
        load(element, x + i + part * kWidth);
        if constexpr (Sums::uses_g) load(gradient, g + i + part * kWidth);
        Sums::add(first[part], second[part], element, mu, gradient);
      }
    for (; i < end; ++i)
      Sums::add(total.first, total.second, as_double<T>(x[i]), mu_, Sums::uses_g ? as_double<T>(g[i]) : 0);
  }
  for (int k = 0; k < kLanes; ++k) {
    total.first += first[k / kWidth][k % kWidth];
    total.second += second[k / kWidth][k % kWidth];
  }
  return total;
}

// Adds `rows` rows to the sums of kParts vectors of channels. It adds several at once, because the latency of an
// addition is that of four.
template <class Sums, int kParts, class T, class X>
void row_sums(const X* x, const X* g, int64_t rows, int64_t channels, const T* mu, double* firsts, double* seconds) {
  Doubles first[kParts], second[kParts], center[kParts] = {};
  for (int part = 0; part < kParts; ++part) {
    load(first[part], firsts + part * kWidth);
    load(second[part], seconds + part * kWidth);
    if constexpr (Sums::uses_g) load(center[part], mu + part * kWidth);
  }
  for (int64_t n = 0; n < rows; ++n)
    for (int part = 0; part < kParts; ++part) {
      Doubles element, gradient{};
      load(element, x + n * channels + part * kWidth);
      if constexpr (Sums::uses_g) load(gradient, g + n * channels + part * kWidth);
      Sums::add(first[part], second[part], element, center[part], gradient);
    }
  for (int part = 0; part < kParts; ++part) {
    store(firsts + part * kWidth, first[part]);
    store(seconds + part * kWidth, second[part]);
  }
}

// The sums of all channels over rows, in blocks of rows that stay in the first cache.
template <class Sums, class T, class X>
void all_row_sums(const X* x, const X* g, const NormShape& shape, const T* mu, double* firsts, double* seconds) {
  constexpr int kParts = 4;
  const int64_t channels = shape.channels, block = channels < 4096 ? 4096 / channels : 1;
  for (int64_t begin = 0; begin < shape.outer; begin += block) {
    const int64_t left = shape.outer - begin, rows = left < block ? left : block, at = begin * channels;
    int64_t c = 0;
    for (; c + kParts * kWidth <= channels; c += kParts * kWidth)
      row_sums<Sums, kParts>(x + at + c, g + at + c, rows, channels, mu + c, firsts + c, seconds + c);
    for (; c + kWidth <= channels; c += kWidth)
      row_sums<Sums, 1>(x + at + c, g + at + c, rows, channels, mu + c, firsts + c, seconds + c);
    for (; c < channels; ++c)
      for (int64_t i = at + c; i < at + rows * channels; i += channels)
        Sums::add(firsts[c], seconds[c], as_double<T>(x[i]), Sums::uses_g ? static_cast<double>(mu[c]) : 0,
                  Sums::uses_g ? as_double<T>(g[i]) : 0);
  }
}

// With planes, a channel's two passes follow each other while it is in cache. Rows hold all channels, so with rows the
// batch is read twice. finish(c, its sums) is called between the passes, plane(c, begin, n) or row(begin, n) in the
// second one.
template <class Sums, class T, class X, class Finish, class Plane, class Row>
void run(const X* x, const X* g, const NormShape& shape, const T* mu, double* sums, const Finish& finish,
         const Plane& plane, const Row& row) {
  const int64_t channels = shape.channels;
  if (shape.inner > 1) {
    for (int64_t c = 0; c < channels; ++c) {
      const Pair of_c = plane_sums<Sums, T>(x, g, shape, c, Sums::uses_g ? static_cast<double>(mu[c]) : 0);
      finish(c, of_c.first, of_c.second);
      for (int64_t n = 0; n < shape.outer; ++n) plane(c, (n * channels + c) * shape.inner, shape.inner);
    }
    return;
  }
  double *const firsts = sums, *const seconds = sums + channels;
  for (int64_t k = 0; k < 2 * channels; ++k) sums[k] = 0;
  all_row_sums<Sums>(x, g, shape, mu, firsts, seconds);
  for (int64_t c = 0; c < channels; ++c) finish(c, firsts[c], seconds[c]);
  for (int64_t n = 0; n < shape.outer; ++n) row(n * channels, channels);
}

template <class T, class X>
void forward(const NormForward& call, double* work) {
  const ForwardChannels<T> at = channels_of(call, reinterpret_cast<T*>(work + 2 * call.shape.channels));
  T *const scale = at.scale, *const shift = at.shift;
  const auto* x = static_cast<const X*>(call.x);
  auto* y = static_cast<X*>(call.y);
  const T* mu = at.saved.mu;
  const double a = call.forgetting.at(++*call.count);
  run<BatchSums>(
      x, x, call.shape, mu, work, [&](int64_t c, double sum, double square) { at.finish(c, a, sum, square); },
      [&](int64_t c, int64_t begin, int64_t n) {
        const T center = mu[c], by = scale[c], plus = shift[c];
#pragma omp simd
        for (int64_t i = begin; i < begin + n; ++i)
          y[i] = narrow<X>(Normalise::element(widen<T>(x[i]), center, by, plus));
      },
      [&](int64_t begin, int64_t n) {
#pragma omp simd
        for (int64_t c = 0; c < n; ++c)
          y[begin + c] = narrow<X>(Normalise::element(widen<T>(x[begin + c]), mu[c], scale[c], shift[c]));
      });
}

template <class T, class X>
void backward(const NormBackward& call, double* work) {
  const BackwardChannels<T> at = channels_of(call, reinterpret_cast<T*>(work + 2 * call.shape.channels));
  T *const scale = at.scale, *const tilt = at.tilt, *const offset = at.offset;
  const auto *g = static_cast<const X*>(call.g), *x = static_cast<const X*>(call.x);
  auto* dx = static_cast<X*>(call.dx);
  const T* mu = at.saved.mu;
  const double a = call.forgetting.at(++*call.count);
  run<GradientSums>(
      x, g, call.shape, mu, work, [&](int64_t c, double sum, double product) { at.finish(c, a, sum, product); },
      [&](int64_t c, int64_t begin, int64_t n) {
        if (dx == nullptr) return;
        const T center = mu[c], by = scale[c], slope = tilt[c], plus = offset[c];
#pragma omp simd
        for (int64_t i = begin; i < begin + n; ++i)
          dx[i] = narrow<X>(InputGradient::element(widen<T>(g[i]), widen<T>(x[i]), center, by, slope, plus));
      },
      [&](int64_t begin, int64_t n) {
        if (dx == nullptr) return;
#pragma omp simd
        for (int64_t c = 0; c < n; ++c)
          dx[begin + c] = narrow<X>(InputGradient::element(widen<T>(g[begin + c]), widen<T>(x[begin + c]), mu[c],
                                                           scale[c], tilt[c], offset[c]));
      });
}

}  // namespace

void norm_forward(const NormForward& call, double* work) {
  with_gradient(call.master, call.input,
                [&](auto t, auto x) { forward<typename decltype(t)::type, typename decltype(x)::type>(call, work); });
}

void norm_backward(const NormBackward& call, double* work) {
  with_gradient(call.master, call.input,
                [&](auto t, auto x) { backward<typename decltype(t)::type, typename decltype(x)::type>(call, work); });
}

}  // namespace hogwild::cpu::HW_ISA
