// The average of two replicas on the device: without locks, both sides added to in the memory system.
#include <algorithm>
#include <stdexcept>

#include "loop.cuh"
#include "push.h"
#include "runtime.cuh"

namespace hogwild::cuda {
namespace {

template <int kCount>
__device__ void pair_at(float* a, float* b, float weight, int64_t i) {
  const Pack<float, kCount> from = load<float, kCount>(a + i), to = load<float, kCount>(b + i);
  Pack<float, kCount> gain, loss;
  for (int k = 0; k < kCount; ++k) {
    gain.at[k] = PairAverage::flux(from.at[k], to.at[k], weight);
    loss.at[k] = -gain.at[k];
  }
  red_add(a + i, gain);
  red_add(b + i, loss);
}

// Elements [start, stop); from the first whole 16 bytes to the last as packs, for flat buffers are aligned.
__global__ void __launch_bounds__(kThreads) pair_kernel(float* a, float* b, float weight, int64_t start, int64_t stop) {
  constexpr int kCount = kWidth<float>;
  const int64_t thread = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x, threads = gridDim.x * kThreads;
  const int64_t head = min(stop, (start + kCount - 1) / kCount * kCount), tail = max(head, stop / kCount * kCount);
  for (int64_t i = start + thread; i < head; i += threads) pair_at<1>(a, b, weight, i);
  for (int64_t i = head + thread * kCount; i < tail; i += threads * kCount) pair_at<kCount>(a, b, weight, i);
  for (int64_t i = tail + thread; i < stop; i += threads) pair_at<1>(a, b, weight, i);
}

}  // namespace

PairStats pair_average(Dtype dtype, void* a, void* b, double weight, int64_t start, int64_t stop, int device,
                       uintptr_t stream) {
  if (dtype != Dtype::float32) throw std::invalid_argument("on CUDA replicas are float32");
  PairStats stats;
  if (start == stop) return stats;
  const DeviceGuard guard(device);
  const int64_t full = multiprocessors(device) * kBlocksPerMultiprocessor, packs = (stop - start) / kWidth<float>;
  const int blocks = static_cast<int>(std::max<int64_t>(1, std::min(full, packs / kThreads)));
  pair_kernel<<<blocks, kThreads, 0, as_stream(stream)>>>(static_cast<float*>(a), static_cast<float*>(b),
                                                          static_cast<float>(weight), start, stop);
  check_launch("pair_kernel");
  stats.averaged = (stop - start + kTile - 1) / kTile;
  return stats;
}

}  // namespace hogwild::cuda
