// The CPU's loops of exchanges and diffusions. They contain vectors and blocks but no equation. Included by kernels.cpp
// only, as loop.h is.
#pragma once

#include "../calls.h"

namespace hogwild::cpu::HW_ISA {

// The pragma asserts that iterations are independent, which they are: the buffers of an exchange do not overlap. With
// the Atomic policy the compare-and-exchange keeps the compiler from using vectors.
template <class Exchange, class Access, class T>
void exchange_loop(const MixBuffers<T> at, int64_t n, const MixRates<T> h) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) Exchange::template element<Access>(at, i, h);
}

// The buffers of a diffusion, from its first element on; `correction` is null if there is none.
template <class T>
struct DiffusionBuffers {
  explicit DiffusionBuffers(const DiffusionCall& call)
      : out(element_at<T>(call.out, call.start)),
        own(element_at<const T>(call.own, call.start)),
        correction(element_at<T>(call.correction, call.start)),
        n(call.stop - call.start) {}

  T* out;
  const T* own;
  T* correction;
  int64_t n;
};

// A few neighbours at once, with their fluxes in registers. own is read once, for all fluxes and for the sum, because
// other workers may write it meanwhile and `out` may be own.
template <int kCount, bool kCorrects, class T>
void diffuse_few(const DiffusionCall& call, const void* const* inputs, const double* shares) {
  const DiffusionBuffers<T> at(call);
  const T* neighbours[kCount];
  T weights[kCount];
  for (int j = 0; j < kCount; ++j) {
    neighbours[j] = element_at<const T>(inputs[j], call.start);
    weights[j] = static_cast<T>(shares[j]);
  }
#pragma omp simd
  for (int64_t i = 0; i < at.n; ++i) {
    const T own = at.own[i];
    T flux = 0;
    for (int j = 0; j < kCount; ++j) flux = Diffusion::add_flux(flux, weights[j], neighbours[j][i], own);
    at.out[i] = own + flux;
    if constexpr (kCorrects) at.correction[i] += flux;
  }
}

// Any number of neighbours, one after the other, for a block of own and its fluxes.
template <bool kCorrects, class T>
void diffuse_many(const DiffusionCall& call, const void* const* inputs, const double* shares, int64_t count) {
  constexpr int64_t kBlock = 1024;
  const DiffusionBuffers<T> at(call);
  T own[kBlock], flux[kBlock];
  for (int64_t begin = 0; begin < at.n; begin += kBlock) {
    const int64_t size = at.n - begin < kBlock ? at.n - begin : kBlock;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      own[i] = at.own[begin + i];
      flux[i] = 0;
    }
    for (int64_t j = 0; j < count; ++j) {
      const T* neighbour = element_at<const T>(inputs[j], call.start + begin);
      const T weight = static_cast<T>(shares[j]);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) flux[i] = Diffusion::add_flux(flux[i], weight, neighbour[i], own[i]);
    }
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      at.out[begin + i] = own[i] + flux[i];
      if constexpr (kCorrects) at.correction[begin + i] += flux[i];
    }
  }
}

// Rings have 2 neighbours; tori, and hypercubes and exponential graphs of 16, have 4.
template <bool kCorrects, class T>
void diffuse_loop(const DiffusionCall& call, const void* const* inputs, const double* shares, int64_t count) {
  switch (count) {
    case 1:
      return diffuse_few<1, kCorrects, T>(call, inputs, shares);
    case 2:
      return diffuse_few<2, kCorrects, T>(call, inputs, shares);
    case 3:
      return diffuse_few<3, kCorrects, T>(call, inputs, shares);
    case 4:
      return diffuse_few<4, kCorrects, T>(call, inputs, shares);
    default:
      return diffuse_many<kCorrects, T>(call, inputs, shares, count);
  }
}

}  // namespace hogwild::cpu::HW_ISA
