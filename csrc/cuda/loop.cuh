// The device's loops: tiles over a fixed grid, 16-byte accesses, statistics reduced per block. They know no
// equation.
#pragma once

#include "../mix.h"
#include "../push.h"
#include "vector.cuh"

namespace hogwild::cuda {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 4;
constexpr int kTile = 4096;         // elements
constexpr int kMaxGradients = 448;  // pointers that fit, with the rest, into 4 KiB of kernel arguments
constexpr int kMaxInputs = 200;     // of a weighted sum, likewise

// A tile is part `part` of segment `segment`.
struct Tile {
  int32_t segment, part;
};

// In device memory; zeroed before each push.
struct DeviceStats {
  double gap_sq, step_sq;
  unsigned long long nonfinite;  // met by the push itself
  unsigned long long refusing;   // met by the scan before it; not zero: the push writes nothing
};

// One launch: tiles [first_tile, last_tile) of segments from first_segment on, clipped to [start, stop).
template <class T>
struct Work {
  Buffers<T> buffers;
  Hyper<T> hyper;
  const Segment* segments;
  const Tile* tiles;
  DeviceStats* stats;
  int64_t start, stop;
  int32_t first_tile, last_tile, first_segment;
};

struct Gradients {
  const void* at[kMaxGradients];  // of first_segment, ...
};

template <class T>
struct Sums {
  T gap_sq = 0, step_sq = 0, nonfinite = 0;

  __device__ void add(const Observed<T>& seen) {
    gap_sq += seen.gap * seen.gap;
    step_sq += seen.step * seen.step;
    nonfinite += seen.nonfinite;
  }
};

__device__ inline double block_sum(double value) {
  __shared__ double partial[kThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(~0u, value, offset);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (const double p : partial) sum += p;
  __syncthreads();
  return sum;
}

template <class T>
__device__ void flush(const Sums<T>& sums, DeviceStats* stats) {
  const double gap_sq = block_sum(sums.gap_sq), step_sq = block_sum(sums.step_sq),
               bad = block_sum(sums.nonfinite);
  if (threadIdx.x != 0) return;
  atomicAdd(&stats->gap_sq, gap_sq);
  atomicAdd(&stats->step_sq, step_sq);
  if (bad != 0) atomicAdd(&stats->nonfinite, static_cast<unsigned long long>(bad));
}

// kWidth elements from i on, by way of registers. Under Atomic, x is added to in memory (the snapshot is then
// the value read minus the own step) and v goes through compare-and-exchange where it lies.
template <class Stages, class Access, class T, class G>
__device__ void push_pack(const Buffers<T>& at, const G* g, int64_t i, const Hyper<T>& h, Sums<T>& sums) {
  constexpr int kCount = kWidth<T>;
  constexpr bool kAtomic = std::is_same_v<Access, Atomic>;
  const Pack<G, kCount> gradient = load_once<G, kCount>(g + i);
  Pack<T, kCount> x = load<T, kCount>(at.x + i), snapshot, v, s, delta;
  if constexpr (Stages::uses_snapshot) snapshot = load<T, kCount>(at.snapshot + i);
  if constexpr (Stages::uses_v && !kAtomic) v = load<T, kCount>(at.v + i);
  if constexpr (Stages::uses_s) s = load<T, kCount>(at.s + i);

  const Buffers<T> here{x.at, snapshot.at, kAtomic ? at.v + i : v.at, s.at};
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const auto seen = Stages::template element<Racing, Access>(here, k, widen<T>(gradient.at[k]), h);
    delta.at[k] = -seen.step;
    sums.add(seen);
  }

  if constexpr (kAtomic)
    red_add(at.x + i, delta);
  else
    store(at.x + i, x);
  if constexpr (Stages::uses_snapshot) store(at.snapshot + i, snapshot);
  if constexpr (Stages::uses_v && !kAtomic) store(at.v + i, v);
  if constexpr (Stages::uses_s) store(at.s + i, s);
}

// Elements [0, n) of one tile.
template <class Stages, class Access, class T, class G>
__device__ void push_tile(const Buffers<T>& at, const G* g, int n, const Hyper<T>& h, Sums<T>& sums) {
  constexpr int kCount = kWidth<T>;
  const bool packed = aligned<T>(at.x, kCount) && aligned<G>(g, kCount);
  const int tail = packed ? n / kCount * kCount : 0;
  for (int i = threadIdx.x * kCount; i < tail; i += kThreads * kCount)
    push_pack<Stages, Access>(at, g, i, h, sums);
  for (int i = tail + threadIdx.x; i < n; i += kThreads)
    sums.add(Stages::template element<Access, Access>(at, i, widen<T>(g[i]), h));
}

// A tile without a gradient: snapshot <- x.
template <class T>
__device__ void refresh_tile(const Buffers<T>& at, int n, Sums<T>& sums) {
  for (int i = threadIdx.x; i < n; i += kThreads) {
    const T x = at.x[i];
    sums.add({x - at.snapshot[i], T(0), T(0)});
    at.snapshot[i] = x;
  }
}

// visit(segment index, begin, n) for this block's tiles: elements [begin, begin + n) of the flat buffers.
template <class T, class Visit>
__device__ void for_each_tile(const Work<T>& work, const Visit& visit) {
  for (int t = work.first_tile + blockIdx.x; t < work.last_tile; t += gridDim.x) {
    const Tile tile = work.tiles[t];
    const Segment segment = work.segments[tile.segment];
    const int64_t from = segment.offset + static_cast<int64_t>(tile.part) * kTile;
    const int64_t to = min(from + kTile, segment.offset + segment.numel);
    const int64_t begin = max(from, work.start), end = min(to, work.stop);
    if (begin < end) visit(tile.segment, segment.offset, begin, static_cast<int>(end - begin));
  }
}

template <class Stages, class Access, class T, class G>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor)
    push_kernel(const __grid_constant__ Work<T> work, const __grid_constant__ Gradients gradients) {
  if (work.stats->refusing != 0) return;
  Sums<T> sums;
  for_each_tile(work, [&](int segment, int64_t offset, int64_t begin, int n) {
    const Buffers<T>& all = work.buffers;
    const Buffers<T> at{all.x + begin, all.snapshot + begin, all.v + begin, all.s + begin};
    const auto* g = static_cast<const G*>(gradients.at[segment - work.first_segment]);
    if (g != nullptr)
      push_tile<Stages, Access>(at, g + (begin - offset), n, work.hyper, sums);
    else if constexpr (Stages::uses_snapshot)
      refresh_tile(at, n, sums);
  });
  flush(sums, work.stats);
}

// Counts what is not finite in the gradients, before a push that one such element refuses.
template <class T, class G>
__global__ void __launch_bounds__(kThreads)
    scan_kernel(const __grid_constant__ Work<T> work, const __grid_constant__ Gradients gradients) {
  int nonfinite = 0;
  for_each_tile(work, [&](int segment, int64_t offset, int64_t begin, int n) {
    const auto* all = static_cast<const G*>(gradients.at[segment - work.first_segment]);
    if (all == nullptr) return;
    const G* g = all + (begin - offset);
    constexpr int kCount = kWidth<T>;
    const int tail = aligned<G>(g, kCount) ? n / kCount * kCount : 0;
    for (int i = threadIdx.x * kCount; i < tail; i += kThreads * kCount) {
      const Pack<G, kCount> pack = load<G, kCount>(g + i);
      for (const G element : pack.at) nonfinite += !hw_isfinite(widen<T>(element));
    }
    for (int i = tail + threadIdx.x; i < n; i += kThreads) nonfinite += !hw_isfinite(widen<T>(g[i]));
  });
  if (nonfinite != 0) atomicAdd(&work.stats->refusing, static_cast<unsigned long long>(nonfinite));
}

}  // namespace hogwild::cuda
