// The average of two replicas on the device: without locks, by atomic additions to both sides.
#include <stdexcept>

#include "push.h"
#include "span.cuh"

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

__global__ void __launch_bounds__(kThreads) pair_kernel(float* a, float* b, float weight, int64_t start, int64_t stop) {
  for_each_pack<float>(start, stop, [&](auto count, int64_t i) { pair_at<decltype(count)::value>(a, b, weight, i); });
}

}  // namespace

PairStats pair_average(const PairCall& call) {
  if (call.dtype != Dtype::float32) throw std::invalid_argument("on CUDA replicas are float32");
  PairStats stats;
  if (call.start == call.stop) return stats;
  const DeviceGuard guard(call.device);
  const Launch launch{"pair_kernel", grid((call.stop - call.start) / kWidth<float>, call.device), kThreads,
                      as_stream(call.stream)};
  launch(pair_kernel, static_cast<float*>(call.a), static_cast<float*>(call.b), static_cast<float>(call.weight),
         call.start, call.stop);
  stats.averaged = (call.stop - call.start + kTile - 1) / kTile;
  return stats;
}

}  // namespace hogwild::cuda
