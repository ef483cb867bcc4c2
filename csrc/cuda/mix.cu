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
  for (int j = 0; j < inputs.count; ++j) {
    const Pack<T, kCount> input = load<T, kCount>(inputs.at[j] + i);
    for (int k = 0; k < kCount; ++k) sum.at[k] = WeightedSum::term(sum.at[k], inputs.weights[j], input.at[k]);
  }
  store(out + i, sum);
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

void weighted_sum(Dtype dtype, void* out, const std::vector<const void*>& inputs, const std::vector<double>& weights,
                  int64_t start, int64_t stop, int device, uintptr_t stream) {
  if (inputs.size() > kMaxInputs)
    throw std::invalid_argument("weighted_sum: on CUDA at most " + std::to_string(kMaxInputs) + " inputs");
  if (start == stop) return;
  const DeviceGuard guard(device);
  with_master(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Inputs<T> table{};
    for (size_t j = 0; j < inputs.size(); ++j) {
      table.at[j] = static_cast<const T*>(inputs[j]);
      table.weights[j] = static_cast<T>(weights[j]);
    }
    table.count = static_cast<int>(inputs.size());
    const Launch launch{"sum_kernel", grid((stop - start) / kWidth<T>, device), kThreads, as_stream(stream)};
    launch(sum_kernel<T>, static_cast<T*>(out), table, start, stop);
  });
}

void copy(Dtype dtype, void* out, const void* in, int64_t start, int64_t stop, int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  const int64_t size = dtype == Dtype::float64 ? 8 : 4;
  check(cudaMemcpyAsync(static_cast<char*>(out) + start * size, static_cast<const char*>(in) + start * size,
                        static_cast<size_t>((stop - start) * size), cudaMemcpyDeviceToDevice, as_stream(stream)),
        "cudaMemcpyAsync");
}

int64_t count_nonfinite(Dtype dtype, const void* g, int64_t n, int device, uintptr_t stream_) {
  const DeviceGuard guard(device);
  const cudaStream_t stream = as_stream(stream_);
  unsigned long long *counter = nullptr, count = 0;
  check(cudaMallocAsync(&counter, sizeof count, stream), "cudaMallocAsync");
  check(cudaMemsetAsync(counter, 0, sizeof count, stream), "cudaMemsetAsync");
  const Dtype master = dtype == Dtype::float64 ? Dtype::float64 : Dtype::float32;
  with_gradient(master, dtype, [&](auto t, auto type) {
    using G = typename decltype(type)::type;
    const Launch launch{"count_kernel", grid(n, device), kThreads, stream};
    launch(count_kernel<typename decltype(t)::type, G>, static_cast<const G*>(g), n, counter);
  });
  check(cudaMemcpyAsync(&count, counter, sizeof count, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  check(cudaFreeAsync(counter, stream), "cudaFreeAsync");
  check(cudaStreamSynchronize(stream), "count_nonfinite");
  return static_cast<int64_t>(count);
}

}  // namespace hogwild::cuda
