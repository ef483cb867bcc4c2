// Small programs with one fault each, which the emulated device must detect; and the same programs without the fault.
#include <cooperative_groups.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess) {
    std::printf("%s\n", cudaGetErrorString(error));
    std::exit(3);
  }
}

template <class... Parameters, class... Arguments>
void launch_on(cudaStream_t stream, bool is_cooperative, unsigned blocks, unsigned threads,
               void (*kernel)(Parameters...), Arguments... arguments) {
  cudaLaunchAttribute cooperative{cudaLaunchAttributeCooperative, {1}};
  cudaLaunchConfig_t config{blocks, threads, 0, stream, &cooperative, is_cooperative ? 1u : 0u};
  check(cudaLaunchKernelEx(&config, kernel, arguments...));
}

template <class... Parameters, class... Arguments>
void launch(bool is_cooperative, unsigned blocks, unsigned threads, void (*kernel)(Parameters...),
            Arguments... arguments) {
  launch_on(nullptr, is_cooperative, blocks, threads, kernel, arguments...);
}

__global__ void barriers(bool faulty) {
  if (faulty && threadIdx.x < 32) __shfl_down_sync(~0u, 1.0, 1);
  if (!faulty || threadIdx.x >= 1) __syncthreads();
  if (faulty && threadIdx.x == 0) __shfl_down_sync(~0u, 1.0, 1);
}

__global__ void lanes() { __shfl_down_sync(~0u, 1.0, 1); }

__global__ void whole_grid(bool faulty) {
  if (faulty && blockIdx.x == 1) return;
  cooperative_groups::this_grid().sync();
}

// Every thread reads a value that another thread writes, which is correct only behind a barrier.
__global__ void shared(bool faulty, int* wrong) {
  __shared__ unsigned values[256];
  values[threadIdx.x] = 0;
  __syncthreads();
  values[threadIdx.x] = threadIdx.x + 1;
  if (!faulty) __syncthreads();
  const unsigned other = (threadIdx.x + 97) % 256;
  if (values[other] != other + 1) atomicAdd(wrong, 1);
}

__global__ void fill(int* x, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) x[i] = 7;
}

__global__ void copy_one(int* to, const int* from) { *to = *from; }

// 1e-40 is subnormal.
__global__ void add_tiny(bool in_memory, float* sum) {
  if (in_memory)
    atomicAdd(sum, 1e-40f);
  else
    *sum += 1e-40f;
}

struct alignas(16) Four {
  int at[4];
};
__global__ void copy_four(int* x, int from) { *reinterpret_cast<Four*>(x) = *reinterpret_cast<Four*>(x + from); }

}  // namespace

int main(int, char** words) {
  const std::string what = words[1];
  const bool faulty = words[2] == std::string("faulty");
  int *x = nullptr, *on_host = nullptr;
  check(cudaMalloc(&x, 1000 * sizeof(int)));
  check(cudaHostAlloc(&on_host, sizeof(int), cudaHostAllocMapped));
  *on_host = 0;
  if (what == "barriers") launch(false, 2, 64, barriers, faulty);
  if (what == "lanes") launch(false, 1, faulty ? 16 : 32, lanes);
  if (what == "grid") launch(true, 3, 64, whole_grid, faulty);
  if (what == "alone") launch(!faulty, 3, 64, whole_grid, false);
  if (what == "too large") launch(true, faulty ? 9 : 8, 64, whole_grid, false);
  if (what == "threads") launch(false, 1, faulty ? 1025 : 1024, fill, x, 1000);
  if (what == "shared")
    for (int turn = 0; turn < 20; ++turn) launch(false, 4, 256, shared, faulty, on_host);
  if (what == "outside") launch(false, 1, 256, fill, x, faulty ? 1001 : 1000);
  if (what == "alignment") {
    launch(false, 1, 256, fill, x, 1000);
    launch(false, 1, 1, copy_four, x, faulty ? 1 : 4);
  }
  if (what == "waiting") {
    launch(false, 1, 256, fill, on_host, 1);
    if (!faulty) check(cudaDeviceSynchronize());
    if (*on_host != 7) std::printf("read before it was written\n");
  }
  if (what == "late copy") {  // a stream that does not wait for the default one uses what is copied there
    cudaStream_t other;
    check(cudaStreamCreateWithFlags(&other, 1));
    const int values[2] = {7, 7};
    check(cudaMemcpy(x, values, sizeof values, cudaMemcpyHostToDevice));
    if (!faulty) check(cudaStreamSynchronize(nullptr));
    launch_on(other, false, 1, 1, copy_one, on_host, x);
    check(cudaStreamSynchronize(other));
    if (*on_host != 7) std::printf("used before it arrived\n");
  }
  if (what == "two streams") {
    cudaStream_t streams[2];
    cudaEvent_t filled;
    for (cudaStream_t& stream : streams) check(cudaStreamCreateWithFlags(&stream, 1));
    check(cudaEventCreateWithFlags(&filled, cudaEventDisableTiming));
    launch_on(streams[0], false, 1, 256, fill, x, 1000);
    check(cudaEventRecord(filled, streams[0]));
    if (!faulty) check(cudaStreamWaitEvent(streams[1], filled, 0));
    launch_on(streams[1], false, 1, 1, copy_one, on_host, x);
    check(cudaStreamSynchronize(streams[1]));
    if (*on_host != 7) std::printf("read on a stream that does not wait\n");
  }
  if (what == "subnormal") {
    float* sum = reinterpret_cast<float*>(on_host);
    launch(false, 1, 1, add_tiny, faulty, sum);
    check(cudaDeviceSynchronize());
    if (*sum == 0) std::printf("flushed to zero\n");
  }
  if (what == "uninitialised") {
    if (!faulty) launch(false, 1, 256, fill, x, 1000);
    check(cudaMemcpy(on_host, x + 500, sizeof(int), cudaMemcpyDeviceToHost));
    if (*on_host != 7) std::printf("never written\n");
  }
  check(cudaDeviceSynchronize());
  if (what == "shared" && *on_host != 0) std::printf("read without a barrier\n");
  check(cudaFreeHost(on_host));
  check(cudaFree(x));
  return 0;
}
