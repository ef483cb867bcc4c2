// Full Normalization on the device: sums per block, then a thread per channel, then the elements. It contains no
// equation.
#include <stdexcept>
#include <string>

#include "../dispatch.h"
#include "../norm_call.h"
#include "runtime.cuh"

namespace hogwild::cuda {
namespace {

constexpr int kColumns = 32, kRows = 8, kNormThreads = kColumns * kRows;
constexpr int kElementsPerThread = 16, kMaxSplits = 128;

// Blocks (x: channels or groups of kColumns channels, y: splits of their elements).
struct Grid {
  int64_t outer, channels, inner;
  int64_t work;  // per channel
  int splits;

  explicit Grid(const NormShape& shape)
      : outer(shape.outer), channels(shape.channels), inner(shape.inner), work(shape.outer * shape.inner) {
    const int64_t per_block = (inner > 1 ? kNormThreads : kRows) * kElementsPerThread;
    if (work > UINT32_MAX)  // planes are found by a division in 32 bits
      throw std::invalid_argument("Full Normalization on CUDA: " + std::to_string(work) +
                                  " elements per channel, at most 4294967295: use smaller batches");
    splits = static_cast<int>(std::min<int64_t>(kMaxSplits, (work + per_block - 1) / per_block));
  }

  dim3 blocks() const {
    return dim3(static_cast<unsigned>(inner > 1 ? channels : (channels + kColumns - 1) / kColumns),
                static_cast<unsigned>(splits));
  }

  // The channel of this thread; -1 if there is none.
  __device__ int64_t channel() const {
    if (inner > 1) return blockIdx.x;
    const int64_t c = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
    return c < channels ? c : -1;
  }

  // visit(index) for this thread's elements of channel c: neighbouring threads of a warp visit neighbouring addresses.
  template <class Visit>
  __device__ void for_each(int64_t c, const Visit& visit) const {
    const int lane = inner > 1 ? threadIdx.y * kColumns + threadIdx.x : threadIdx.y;
    const int lanes = inner > 1 ? kNormThreads : kRows;
    for (int64_t i = static_cast<int64_t>(blockIdx.y) * lanes + lane; i < work;
         i += static_cast<int64_t>(splits) * lanes) {
      if (inner == 1) {
        visit(i * channels + c);
      } else {
        const auto n = static_cast<uint32_t>(i) / static_cast<uint32_t>(inner);
        visit((n * channels + c) * inner + (i - n * inner));
      }
    }
  }
};

// partial[c][split] <- the sums of this block. Planes: over the whole block; rows: over the block's rows.
template <class Sums, class T, class X>
__global__ void __launch_bounds__(kNormThreads)
    sums_kernel(const X* x, const X* g, const T* mu, const Grid grid, double2* partial, int64_t* count) {
  __shared__ double2 shared[kRows][kColumns];
  const int64_t c = grid.channel();
  double first = 0, second = 0;
  if (c >= 0) {
    const double center = Sums::uses_g ? static_cast<double>(mu[c]) : 0;
    grid.for_each(c, [&](int64_t i) {
      const double gradient = Sums::uses_g ? static_cast<double>(widen<T>(g[i])) : 0;
      Sums::add(first, second, static_cast<double>(widen<T>(x[i])), center, gradient);
    });
  }
  shared[threadIdx.y][threadIdx.x] = {first, second};
  __syncthreads();
  if (threadIdx.y != 0) return;
  for (int row = 1; row < kRows; ++row) {
    first += shared[row][threadIdx.x].x;
    second += shared[row][threadIdx.x].y;
  }
  if (grid.inner > 1)
    for (int offset = kColumns / 2; offset > 0; offset /= 2) {
      first += __shfl_down_sync(~0u, first, offset);
      second += __shfl_down_sync(~0u, second, offset);
    }
  if (c >= 0 && (grid.inner == 1 || threadIdx.x == 0)) partial[c * grid.splits + blockIdx.y] = {first, second};
  if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) ++*count;
}

template <class Channels>
__global__ void __launch_bounds__(kNormThreads)
    finish_kernel(const Channels at, const double2* partial, const Grid grid, Forgetting forgetting,
                  const int64_t* count) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kNormThreads + threadIdx.x;
  if (c >= grid.channels) return;
  double first = 0, second = 0;
  for (int split = 0; split < grid.splits; ++split) {
    first += partial[c * grid.splits + split].x;
    second += partial[c * grid.splits + split].y;
  }
  at.finish(c, forgetting.at(*count), first, second);
}

template <class T, class X>
__global__ void __launch_bounds__(kNormThreads)
    forward_kernel(const X* x, X* y, const ForwardChannels<T> at, const Grid grid) {
  const int64_t c = grid.channel();
  if (c < 0) return;
  const T mu = at.saved.mu[c], scale = at.scale[c], shift = at.shift[c];
  grid.for_each(c, [&](int64_t i) { y[i] = narrow<X>(Normalise::element(widen<T>(x[i]), mu, scale, shift)); });
}

template <class T, class X>
__global__ void __launch_bounds__(kNormThreads)
    backward_kernel(const X* g, const X* x, X* dx, const BackwardChannels<T> at, const Grid grid) {
  const int64_t c = grid.channel();
  if (c < 0) return;
  const T mu = at.saved.mu[c], scale = at.scale[c], tilt = at.tilt[c], offset = at.offset[c];
  grid.for_each(c, [&](int64_t i) {
    dx[i] = narrow<X>(InputGradient::element(widen<T>(g[i]), widen<T>(x[i]), mu, scale, tilt, offset));
  });
}

// Partial sums and `rows` arrays [channels] of T, in the order of a stream.
class Work {
 public:
  Work(const Grid& grid, size_t row_bytes, int rows, cudaStream_t stream, int device) : stream_(stream) {
    const size_t sums = static_cast<size_t>(grid.channels) * static_cast<size_t>(grid.splits) * sizeof(double2);
    memory_ = allocate(sums + static_cast<size_t>(rows) * row_bytes, stream, device);
    rows_ = static_cast<char*>(memory_) + sums;
  }
  ~Work() { cudaFreeAsync(memory_, stream_); }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  double2* partial() const { return static_cast<double2*>(memory_); }
  template <class T>
  T* rows() const {
    return reinterpret_cast<T*>(rows_);
  }

 private:
  cudaStream_t stream_;
  void* memory_ = nullptr;
  char* rows_ = nullptr;
};

const dim3 kBlock(kColumns, kRows);

// Both passes over the batch's sums, and the data per channel.
template <class Sums, class T, class X, class Channels, class Call>
void finish_channels(const X* x, const X* g, const Channels& at, const Grid& grid, const Work& work, const Call& call) {
  const cudaStream_t stream = as_stream(call.stream);
  const Launch sum{"sums_kernel", grid.blocks(), kBlock, stream};
  sum(sums_kernel<Sums, T, X>, x, g, at.saved.mu, grid, work.partial(), call.count);
  const auto blocks = static_cast<unsigned>((grid.channels + kNormThreads - 1) / kNormThreads);
  const Launch finish{"finish_kernel", blocks, kNormThreads, stream};
  finish(finish_kernel<Channels>, at, work.partial(), grid, call.forgetting, call.count);
}

template <class T, class X>
void forward(const NormForward& call) {
  const Grid grid(call.shape);
  const Work work(grid, sizeof(T) * static_cast<size_t>(grid.channels), 2, as_stream(call.stream), call.device);
  const ForwardChannels<T> at = channels_of(call, work.rows<T>());
  const auto* x = static_cast<const X*>(call.x);
  finish_channels<BatchSums, T>(x, x, at, grid, work, call);
  const Launch launch{"forward_kernel", grid.blocks(), kBlock, as_stream(call.stream)};
  launch(forward_kernel<T, X>, x, static_cast<X*>(call.y), at, grid);
}

template <class T, class X>
void backward(const NormBackward& call) {
  const Grid grid(call.shape);
  const Work work(grid, sizeof(T) * static_cast<size_t>(grid.channels), 3, as_stream(call.stream), call.device);
  const BackwardChannels<T> at = channels_of(call, work.rows<T>());
  const auto *g = static_cast<const X*>(call.g), *x = static_cast<const X*>(call.x);
  finish_channels<GradientSums, T>(x, g, at, grid, work, call);
  if (call.dx == nullptr) return;
  const Launch launch{"backward_kernel", grid.blocks(), kBlock, as_stream(call.stream)};
  launch(backward_kernel<T, X>, g, x, static_cast<X*>(call.dx), at, grid);
}

}  // namespace

void norm_forward(const NormForward& call) {
  const DeviceGuard guard(call.device);
  with_gradient(call.master, call.input,
                [&](auto t, auto x) { forward<typename decltype(t)::type, typename decltype(x)::type>(call); });
}

void norm_backward(const NormBackward& call) {
  const DeviceGuard guard(call.device);
  with_gradient(call.master, call.input,
                [&](auto t, auto x) { backward<typename decltype(t)::type, typename decltype(x)::type>(call); });
}

}  // namespace hogwild::cuda
