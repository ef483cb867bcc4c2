// The CPU's loops over exchanges and diffusions. They know vectors and blocks and no equation.
// Included by kernels.cpp only, as loop.h is.
#pragma once

#include "../exchange.h"

namespace hogwild::cpu::HW_ISA {

// The pragma asserts that iterations are independent, which they are: the buffers of an exchange do not overlap. With
// the Atomic policy the compare-and-exchange keeps the compiler from using vectors.
template <class Exchange, class Access, class T>
void exchange_loop(const MixBuffers<T> at, int64_t n, const MixRates<T> h) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) Exchange::template element<Access>(at, i, h);
}

// A block of own is read once, for all its fluxes and for the sum: others may write it meanwhile, and `out` may be own.
template <class T>
void diffuse_loop(const DiffusionCall& call) {
  constexpr int64_t kBlock = 1024;
  T own[kBlock], flux[kBlock];
  for (int64_t begin = call.start; begin < call.stop; begin += kBlock) {
    const int64_t size = call.stop - begin < kBlock ? call.stop - begin : kBlock;
    const T* from = static_cast<const T*>(call.own) + begin;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      own[i] = from[i];
      flux[i] = 0;
    }
    for (int64_t j = 0; j < call.count; ++j) {
      const T* neighbour = static_cast<const T*>(call.neighbours[j]) + begin;
      const T weight = static_cast<T>(call.weights[j]);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) flux[i] = Diffusion::add_flux(flux[i], weight, neighbour[i], own[i]);
    }
    T* out = static_cast<T*>(call.out) + begin;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) out[i] = own[i] + flux[i];
    if (call.correction == nullptr) continue;
    T* correction = static_cast<T*>(call.correction) + begin;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) correction[i] += flux[i];
  }
}

}  // namespace hogwild::cpu::HW_ISA
