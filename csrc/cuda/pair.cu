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

struct Lags {
  float *a, *b;
  float rest_a, rest_b, gain;
};

template <int kCount>
__device__ void lagging_pair_at(float* a, float* b, const Lags& lags, int64_t i) {
  const Pack<float, kCount> from = load<float, kCount>(a + i), to = load<float, kCount>(b + i);
  const Pack<float, kCount> lag_from = load<float, kCount>(lags.a + i), lag_to = load<float, kCount>(lags.b + i);
  Pack<float, kCount> of_a, of_b, of_lag_a, of_lag_b;
  for (int k = 0; k < kCount; ++k) {
    const PairChange<float> change(from.at[k], to.at[k], lag_from.at[k], lag_to.at[k], lags.rest_a, lags.rest_b,
                                   lags.gain);
    of_a.at[k] = change.a;
    of_b.at[k] = change.b;
    of_lag_a.at[k] = change.lag_a;
    of_lag_b.at[k] = change.lag_b;
  }
  red_add(a + i, of_a);
  red_add(b + i, of_b);
  red_add(lags.a + i, of_lag_a);
  red_add(lags.b + i, of_lag_b);
}

__global__ void __launch_bounds__(kThreads)
    lagging_pair_kernel(float* a, float* b, Lags lags, int64_t start, int64_t stop) {
  for_each_pack<float>(start, stop,
                       [&](auto count, int64_t i) { lagging_pair_at<decltype(count)::value>(a, b, lags, i); });
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
  float *a = static_cast<float*>(call.a), *b = static_cast<float*>(call.b);
  if (call.lag_a == nullptr) {
    launch(pair_kernel, a, b, static_cast<float>(call.weight), call.start, call.stop);
  } else {
    const Lags lags{static_cast<float*>(call.lag_a), static_cast<float*>(call.lag_b), static_cast<float>(call.rest_a),
                    static_cast<float>(call.rest_b), static_cast<float>(call.gain)};
    launch(lagging_pair_kernel, a, b, lags, call.start, call.stop);
  }
  stats.averaged = (call.stop - call.start + kTile - 1) / kTile;
  return stats;
}

}  // namespace hogwild::cuda
