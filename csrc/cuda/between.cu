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
  Launch{"share_kernel", 1, kThreads, stream}(captured ? share_kernel<true> : share_kernel<false>, work);
}

void launch_settling(const Work<float>& work, bool captured, cudaStream_t stream) {
  Launch{"settle_kernel", 1, kThreads, stream}(captured ? settle_kernel<true> : settle_kernel<false>, work);
}

void launch_scalars(const Scalars<float>& scalars, Scalars<float>* place, cudaStream_t stream) {
  Launch{"scalars_kernel", 1, 1, stream}(scalars_kernel, scalars, place);
}

}  // namespace hogwild::cuda
