// 16 bytes at a time: packs of elements, and their loads, stores and additions to global memory. Device only.
#pragma once

#include "../access.h"
#include "../numeric.h"

namespace hogwild::cuda {

// kWidth elements of a master of T; a pack of gradients of G has as many.
template <class T>
constexpr int kWidth = 16 / sizeof(T);

template <class E, int kCount>
struct alignas(sizeof(E) * kCount) Pack {
  E at[kCount];
};

template <class E, int kCount>
__device__ __forceinline__ Pack<E, kCount> load(const E* p) {
  return *reinterpret_cast<const Pack<E, kCount>*>(p);
}

template <class E, int kCount>
__device__ __forceinline__ void store(E* p, const Pack<E, kCount>& pack) {
  *reinterpret_cast<Pack<E, kCount>*>(p) = pack;
}

// The same in one instruction where the compiler would take the copy of the struct apart, as it does with sums over a
// variable number of inputs; elsewhere this would cost registers.
template <class E, int kCount>
__device__ __forceinline__ void store_whole(E* p, const Pack<E, kCount>& pack) {
  if constexpr (sizeof pack == 16) {
    uint4 words;
    memcpy(&words, &pack, sizeof pack);
    __stwb(reinterpret_cast<uint4*>(p), words);
  } else {
    store(p, pack);
  }
}

// Marked as evict-first, because a gradient is read only once.
template <class E, int kCount>
__device__ __forceinline__ Pack<E, kCount> load_once(const E* p) {
  using Words = std::conditional_t<sizeof(E) * kCount == 16, uint4, uint2>;
  static_assert(sizeof(Words) == sizeof(E) * kCount);
  const Words words = __ldcs(reinterpret_cast<const Words*>(p));
  Pack<E, kCount> pack;
  memcpy(&pack, &words, sizeof pack);
  return pack;
}

template <class E>
__device__ __forceinline__ bool aligned(const void* p, int count) {
  return reinterpret_cast<uintptr_t>(p) % (sizeof(E) * count) == 0;
}

// Brings the line of *p into the first-level cache.
__device__ __forceinline__ void prefetch(const void* p) {
#ifdef __CUDACC__
  asm volatile("prefetch.global.L1 [%0];" ::"l"(__cvta_generic_to_global(p)));
#else
  (void)p;
#endif
}

// The old value of *p, and *p + value in its place. What this thread did before is visible to the thread that adds next,
// at the device's scope: one light fence in place of two full ones around a relaxed addition.
#ifdef __CUDACC__
__device__ __forceinline__ unsigned add_acq_rel(unsigned* p, unsigned value) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(p)), "r"(value)
               : "memory");
  return before;
}
#else
inline unsigned add_acq_rel(unsigned* p, unsigned value) { return atomicAdd(p, value); }
#endif

// *p += delta, as an addition in memory without a returned value, at system scope because other processes may write p
// too.
#ifdef __CUDACC__
__device__ __forceinline__ void red_add(float* p, const Pack<float, 4>& delta) {
  const size_t address = __cvta_generic_to_global(p);
#if __CUDA_ARCH__ >= 900
  asm volatile("red.relaxed.sys.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(delta.at[0]),
               "f"(delta.at[1]), "f"(delta.at[2]), "f"(delta.at[3])
               : "memory");
#else
  for (int k = 0; k < 4; ++k)
    asm volatile("red.relaxed.sys.global.add.f32 [%0], %1;" ::"l"(address + 4 * k), "f"(delta.at[k]) : "memory");
#endif
}

__device__ __forceinline__ void red_add(double* p, const Pack<double, 2>& delta) {
  const size_t address = __cvta_generic_to_global(p);
  for (int k = 0; k < 2; ++k)
    asm volatile("red.relaxed.sys.global.add.f64 [%0], %1;" ::"l"(address + 8 * k), "d"(delta.at[k]) : "memory");
}

__device__ __forceinline__ void red_add(float* p, const Pack<float, 1>& delta) {
  const size_t address = __cvta_generic_to_global(p);
  asm volatile("red.relaxed.sys.global.add.f32 [%0], %1;" ::"l"(address), "f"(delta.at[0]) : "memory");
}
#else  // the emulated device of the tests
template <class T, int kCount>
void red_add(T* p, const Pack<T, kCount>& delta) {
  for (int k = 0; k < kCount; ++k) atomicAdd(p + k, delta.at[k]);
}
#endif

}  // namespace hogwild::cuda
