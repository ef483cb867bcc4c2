// The differences between the host compiler and nvcc: function qualifiers and a few mathematical primitives. Host and
// device; the only test for __CUDACC__ outside cuda/. Everything is force-inlined: the CPU kernels are compiled once
// per instruction set, and an out-of-line copy could be linked into the wrong one.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <type_traits>

#ifdef __CUDACC__
#define HW_HD __host__ __device__ __forceinline__
#else
#define HW_HD inline __attribute__((always_inline))
#endif

namespace hogwild {

HW_HD float hw_abs(float a) { return ::fabsf(a); }
HW_HD double hw_abs(double a) { return ::fabs(a); }
HW_HD float hw_sqrt(float a) { return ::sqrtf(a); }
HW_HD double hw_sqrt(double a) { return ::sqrt(a); }

// A comparison rather than isfinite(): it is false for NaN as well, and vectorises.
HW_HD bool hw_isfinite(float a) { return hw_abs(a) <= FLT_MAX; }
HW_HD bool hw_isfinite(double a) { return hw_abs(a) <= DBL_MAX; }

// condition ? a : b, with a bit mask: compilers turn the operator into a branch, and a branch that contains a square
// root keeps the loop from vectorising.
template <class T>
HW_HD T hw_select(bool condition, T a, T b) {
#ifdef __CUDA_ARCH__
  return condition ? a : b;
#else
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const Bits mask = -static_cast<Bits>(condition);
  Bits a_bits, b_bits;
  __builtin_memcpy(&a_bits, &a, sizeof a);
  __builtin_memcpy(&b_bits, &b, sizeof b);
  const Bits chosen = (a_bits & mask) | (b_bits & ~mask);
  T result;
  __builtin_memcpy(&result, &chosen, sizeof result);
  return result;
#endif
}

// Reads *p with one relaxed access, while others exchange it.
template <class T>
HW_HD T hw_load(const T* p) {
#ifdef __CUDA_ARCH__
  return *static_cast<const volatile T*>(p);
#else
  T value;
  __atomic_load(p, &value, __ATOMIC_RELAXED);
  return value;
#endif
}

// *p <- desired if *p still holds the bits of `expected`; otherwise expected <- *p. Relaxed. On the device at system
// scope, because the other writers may be other processes.
template <class T>
HW_HD bool hw_compare_exchange(T* p, T& expected, T desired) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) {
    const unsigned before = __float_as_uint(expected);
    const unsigned found = atomicCAS_system(reinterpret_cast<unsigned*>(p), before, __float_as_uint(desired));
    expected = __uint_as_float(found);
    return found == before;
  } else {
    const auto before = static_cast<unsigned long long>(__double_as_longlong(expected));
    const auto after = static_cast<unsigned long long>(__double_as_longlong(desired));
    const auto found = atomicCAS_system(reinterpret_cast<unsigned long long*>(p), before, after);
    expected = __longlong_as_double(static_cast<long long>(found));
    return found == before;
  }
#else
  return __atomic_compare_exchange(p, &expected, &desired, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
#endif
}

// *p <- max(*p, value). Returns the old value.
HW_HD int64_t hw_fetch_max(int64_t* p, int64_t value) {
#ifdef __CUDA_ARCH__
  return static_cast<int64_t>(atomicMax_system(reinterpret_cast<long long*>(p), static_cast<long long>(value)));
#else
  int64_t before = hw_load(p);
  while (before < value && !hw_compare_exchange(p, before, value)) {
  }
  return before;
#endif
}

// *p <- *p + 1. Returns the old value.
HW_HD uint32_t hw_fetch_add_one(uint32_t* p) {
#ifdef __CUDA_ARCH__
  return atomicAdd_system(p, 1u);
#else
  return __atomic_fetch_add(p, 1u, __ATOMIC_RELAXED);
#endif
}

}  // namespace hogwild
