// A span of flat buffers spread over a grid: the common part of averages and exchanges.
#pragma once

#include <algorithm>
#include <type_traits>

#include "loop.cuh"
#include "runtime.cuh"

namespace hogwild::cuda {

// visit(std::integral_constant<int, k>, i): k elements from i on, for all of [start, stop). Flat buffers are aligned,
// so all whole 16 bytes in it are visited as packs.
template <class T, class Visit>
__device__ void for_each_pack(int64_t start, int64_t stop, const Visit& visit) {
  constexpr int kCount = kWidth<T>;
  const std::integral_constant<int, 1> one;
  const std::integral_constant<int, kCount> pack;
  const int64_t thread = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x, threads = gridDim.x * kThreads;
  const int64_t head = min(stop, (start + kCount - 1) / kCount * kCount), tail = max(head, stop / kCount * kCount);
  for (int64_t i = start + thread; i < head; i += threads) visit(one, i);
  for (int64_t i = head + thread * kCount; i < tail; i += threads * kCount) visit(pack, i);
  for (int64_t i = tail + thread; i < stop; i += threads) visit(one, i);
}

// visit(j, pack) for the packs at element i of `count` inputs, in order. Four are loaded before the first is visited, so
// that their latencies overlap.
template <class T, int kCount, class Visit>
__device__ __forceinline__ void for_each_loaded(const T* const* inputs, int count, int64_t i, const Visit& visit) {
  constexpr int kGroup = 4;
  for (int first = 0; first < count; first += kGroup) {
    Pack<T, kCount> loaded[kGroup];
#pragma unroll
    for (int j = 0; j < kGroup; ++j)
      if (first + j < count) loaded[j] = load<T, kCount>(inputs[first + j] + i);
#pragma unroll
    for (int j = 0; j < kGroup; ++j)
      if (first + j < count) visit(first + j, loaded[j]);
  }
}

// Blocks for n visits.
inline unsigned grid(int64_t n, int device) {
  const int64_t full = static_cast<int64_t>(multiprocessors(device)) * kBlocksPerMultiprocessor;
  return static_cast<unsigned>(std::max<int64_t>(1, std::min(full, n / kThreads)));
}

}  // namespace hogwild::cuda
