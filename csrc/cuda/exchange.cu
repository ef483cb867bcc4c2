// Exchanges and diffusions on the device.
#include <stdexcept>
#include <string>

#include "../dispatch.h"
#include "exchange.h"
#include "span.cuh"

namespace hogwild::cuda {
namespace {

// kCount elements from i on, through registers. Under Atomic the center is changed by additions in memory; a worker's
// copy of the new center is the value read plus its own addition. A mailbox that is emptied is exchanged in memory.
template <class Exchange, class Access, class T, int kCount>
__device__ void exchange_at(const MixBuffers<T>& at, int64_t i, const MixRates<T>& h) {
  constexpr bool kAtomic = std::is_same_v<Access, Atomic>;
  constexpr bool kInPlace = kAtomic && !Exchange::adds;
  Pack<T, kCount> center{}, memory{}, g{}, delta;
  Pack<T, kCount> x = load<T, kCount>(at.x + i);
  if constexpr (!kInPlace && (Exchange::reads_center || !kAtomic)) center = load<T, kCount>(at.center + i);
  if constexpr (Exchange::uses_memory) memory = load<T, kCount>(at.memory + i);
  if constexpr (Exchange::uses_g) g = load_once<T, kCount>(at.g + i);

  MixBuffers<T> here;
  here.x = x.at;
  here.center = kInPlace ? at.center + i : center.at;
  here.memory = memory.at;
  here.g = g.at;
#pragma unroll
  for (int k = 0; k < kCount; ++k)
    delta.at[k] = Exchange::template element<std::conditional_t<kInPlace, Atomic, Racing>>(here, k, h);

  if constexpr (kAtomic && Exchange::adds)
    red_add(at.center + i, delta);
  else if constexpr (!kInPlace)
    store(at.center + i, center);
  if constexpr (Exchange::writes_x) store(at.x + i, x);
  if constexpr (Exchange::uses_memory) store(at.memory + i, memory);
}

template <class Exchange, class Access, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor)
    exchange_kernel(const MixBuffers<T> at, const MixRates<T> h, int64_t start, int64_t stop) {
  for_each_pack<T>(start, stop, [&](auto count, int64_t i) {
    constexpr int kCount = decltype(count)::value;
    if constexpr (kCount == 1)
      Exchange::template element<Access>(at, i, h);
    else
      exchange_at<Exchange, Access, T, kCount>(at, i, h);
  });
}

template <class T>
struct Neighbours {
  const T* at[kMaxInputs];
  T weights[kMaxInputs];
  int count;
};

template <class T, int kCount>
__device__ void diffuse_at(T* out, const T* own_, T* correction_, const Neighbours<T>& neighbours, int64_t i) {
  Pack<T, kCount> own = load<T, kCount>(own_ + i), flux{};
  for_each_loaded<T, kCount>(neighbours.at, neighbours.count, i, [&](int j, const Pack<T, kCount>& neighbour) {
    for (int k = 0; k < kCount; ++k)
      flux.at[k] = Diffusion::add_flux(flux.at[k], neighbours.weights[j], neighbour.at[k], own.at[k]);
  });
  for (int k = 0; k < kCount; ++k) own.at[k] += flux.at[k];
  store_whole(out + i, own);
  if (correction_ == nullptr) return;
  Pack<T, kCount> correction = load<T, kCount>(correction_ + i);
  for (int k = 0; k < kCount; ++k) correction.at[k] += flux.at[k];
  store_whole(correction_ + i, correction);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    diffuse_kernel(T* out, const T* own, T* correction, const __grid_constant__ Neighbours<T> neighbours, int64_t start,
                   int64_t stop) {
  for_each_pack<T>(start, stop, [&](auto count, int64_t i) {
    diffuse_at<T, decltype(count)::value>(out, own, correction, neighbours, i);
  });
}

}  // namespace

void exchange(const ExchangeCall& call) {
  if (call.start == call.stop) return;
  const DeviceGuard guard(call.device);
  const MixRates<double> rates = fold(call);
  with_master(call.dtype, [&](auto t) {
    using T = typename decltype(t)::type;
    const unsigned blocks = grid((call.stop - call.start) / kWidth<T>, call.device);
    with_exchange(call.kind, call.access, [&](auto exchange, auto access) {
      const Launch launch{"exchange_kernel", blocks, kThreads, as_stream(call.stream)};
      launch(exchange_kernel<typename decltype(exchange)::type, typename decltype(access)::type, T>,
             slice<T>(call.buffers, 0), rates.as<T>(), call.start, call.stop);
    });
  });
}

void diffuse(const DiffusionCall& call) {
  if (call.neighbours.size() > kMaxInputs)
    throw std::invalid_argument("diffuse: on CUDA at most " + std::to_string(kMaxInputs) + " neighbours");
  if (call.start == call.stop) return;
  const DeviceGuard guard(call.device);
  with_master(call.dtype, [&](auto t) {
    using T = typename decltype(t)::type;
    Neighbours<T> neighbours{};
    for (size_t j = 0; j < call.neighbours.size(); ++j) {
      neighbours.at[j] = static_cast<const T*>(call.neighbours[j]);
      neighbours.weights[j] = static_cast<T>(call.weights[j]);
    }
    neighbours.count = static_cast<int>(call.neighbours.size());
    const Launch launch{"diffuse_kernel", grid((call.stop - call.start) / kWidth<T>, call.device), kThreads,
                        as_stream(call.stream)};
    launch(diffuse_kernel<T>, static_cast<T*>(call.out), static_cast<const T*>(call.own),
           static_cast<T*>(call.correction), neighbours, call.start, call.stop);
  });
}

}  // namespace hogwild::cuda
