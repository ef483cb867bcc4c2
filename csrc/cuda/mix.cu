// Averages, copies and the count of non-finite elements, on the device.
#include "../dispatch.h"
#include "push.h"
#include "span.cuh"

namespace hogwild::cuda {
namespace {

template <class T>
struct Inputs {
  const T* at[kMaxInputs];
  T weights[kMaxInputs];
  int count;
};

template <class T, int kCount>
__device__ void sum_at(T* out, const Inputs<T>& inputs, int64_t i) {
  Pack<T, kCount> sum{};
  for_each_loaded<T, kCount>(inputs.at, inputs.count, i, [&](int j, const Pack<T, kCount>& input) {
    for (int k = 0; k < kCount; ++k) sum.at[k] = WeightedSum::term(sum.at[k], inputs.weights[j], input.at[k]);
  });
  store_whole(out + i, sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_kernel(T* out, const __grid_constant__ Inputs<T> inputs, int64_t start, int64_t stop) {
  for_each_pack<T>(start, stop, [&](auto count, int64_t i) { sum_at<T, decltype(count)::value>(out, inputs, i); });
}

template <class T, class G>
__global__ void __launch_bounds__(kThreads) count_kernel(const G* g, int64_t n, unsigned long long* count) {
  unsigned long long nonfinite = 0;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x; i < n; i += gridDim.x * kThreads)
    nonfinite += !hw_isfinite(widen<T>(g[i]));
  if (nonfinite != 0) atomicAdd(count, nonfinite);
}

}  // namespace

void weighted_sum(const WeightedSumCall& call) {
  if (call.inputs.size() > kMaxInputs)
    throw std::invalid_argument("weighted_sum: on CUDA at most " + std::to_string(kMaxInputs) + " inputs");
  if (call.start == call.stop) return;
  const DeviceGuard guard(call.device);
  with_master(call.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Inputs<T> table{};
    for (size_t j = 0; j < call.inputs.size(); ++j) {
      table.at[j] = static_cast<const T*>(call.inputs[j]);
      table.weights[j] = static_cast<T>(call.weights[j]);
    }
    table.count = static_cast<int>(call.inputs.size());
    const Launch launch{"sum_kernel", grid((call.stop - call.start) / kWidth<T>, call.device), kThreads,
                        as_stream(call.stream)};
    launch(sum_kernel<T>, static_cast<T*>(call.out), table, call.start, call.stop);
  });
}

void copy(const CopyCall& call) {
  const DeviceGuard guard(call.device);
  const int64_t size = call.dtype == Dtype::float64 ? 8 : 4, begin = call.start * size;
  check(cudaMemcpyAsync(static_cast<char*>(call.out) + begin, static_cast<const char*>(call.source) + begin,
                        static_cast<size_t>((call.stop - call.start) * size), cudaMemcpyDeviceToDevice,
                        as_stream(call.stream)),
        "cudaMemcpyAsync");
}

int64_t count_nonfinite(const CountCall& call) {
  const DeviceGuard guard(call.device);
  const cudaStream_t stream = as_stream(call.stream);
  unsigned long long count = 0;
  auto* counter = static_cast<unsigned long long*>(allocate(sizeof count, stream, call.device));
  check(cudaMemsetAsync(counter, 0, sizeof count, stream), "cudaMemsetAsync");
  const Dtype master = call.dtype == Dtype::float64 ? Dtype::float64 : Dtype::float32;
  with_gradient(master, call.dtype, [&](auto t, auto type) {
    using G = typename decltype(type)::type;
    const Launch launch{"count_kernel", grid(call.numel, call.device), kThreads, stream};
    launch(count_kernel<typename decltype(t)::type, G>, static_cast<const G*>(call.g), call.numel, counter);
  });
  check(cudaMemcpyAsync(&count, counter, sizeof count, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  check(cudaFreeAsync(counter, stream), "cudaFreeAsync");
  check(cudaStreamSynchronize(stream), "count_nonfinite");
  return static_cast<int64_t>(count);
}

}  // namespace hogwild::cuda
