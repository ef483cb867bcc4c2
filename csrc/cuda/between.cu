// What happens between the passes of a push and between the replays of a captured one: kernels of one block.
#include "passes.cuh"
#include "tables.cuh"

namespace hogwild::cuda {
namespace {

template <bool kCaptured>
__global__ void __launch_bounds__(kThreads) share_kernel(const __grid_constant__ Work<float> work) {
  share_rows<kCaptured>(work);
}

template <bool kCaptured>
__global__ void __launch_bounds__(kThreads) settle_kernel(const __grid_constant__ Work<float> work) {
  settle_rows<kCaptured>(work);
}

__global__ void scalars_kernel(const __grid_constant__ Scalars<float> scalars, Scalars<float>* place) {
  *place = scalars;
}

}  // namespace

void launch_shares(const Work<float>& work, bool captured, cudaStream_t stream) {
  (captured ? share_kernel<true> : share_kernel<false>)<<<1, kThreads, 0, stream>>>(work);
  check_launch("share_kernel");
}

void launch_settling(const Work<float>& work, bool captured, cudaStream_t stream) {
  (captured ? settle_kernel<true> : settle_kernel<false>)<<<1, kThreads, 0, stream>>>(work);
  check_launch("settle_kernel");
}

void launch_scalars(const Scalars<float>& scalars, Scalars<float>* place, cudaStream_t stream) {
  scalars_kernel<<<1, 1, 0, stream>>>(scalars, place);
  check_launch("scalars_kernel");
}

}  // namespace hogwild::cuda
