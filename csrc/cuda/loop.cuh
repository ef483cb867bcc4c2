// The device's loops: tiles over a fixed grid, 16-byte accesses, statistics reduced per block. They contain no
// equation.
#pragma once

#include "../mix.h"
#include "../push.h"
#include "vector.cuh"

namespace hogwild::cuda {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 4;
constexpr int kTile = 4096;         // elements of a tile, at most
constexpr int kSmallTile = 1024;    // of a small model's, so that a block has one iteration instead of four
constexpr int kMaxGradients = 448;  // pointers that fit into 4 KiB of kernel arguments; else there is a table
constexpr int kMaxInputs = 200;     // inputs of a weighted sum, for the same reason

// Elements [begin, begin + count) of the flat buffers, in the segment that begins at `offset`. Two 16-byte loads bring
// all that a block must know of its next tile.
struct alignas(32) Tile {
  int64_t begin, offset;
  int32_t count, segment;
};

struct Counts {
  double gap_sq, step_sq;
  double share;                  // sum of 1 / G
  double grad_sq;                // sum of squares, by the scan
  unsigned long long nonfinite;  // non-finite elements found by the push itself
  unsigned long long refusing;   // non-finite elements found by the scan; not zero: nothing is written
};

// In device memory; zero between two pushes.
struct DeviceStats : Counts {
  unsigned finished;  // blocks of the push
};

// The contribution of a push to a row of gap_state. In device memory; zero between two pushes.
struct GapRow {
  double measured_sq;                // ||x - snapshot||^2, by the first pass
  double gap_sq, size_sq, elements;  // by the push itself
};

// The data that differs from one push to the next.
template <class T>
struct Scalars {
  Hyper<T> hyper;
  double scale, clip;
  GapStateRule gap;
};

// Tiles [first_tile, last_tile), clipped to [start, stop).
template <class T>
struct Work {
  Buffers<T> buffers;
  Scalars<T> scalars;
  const Scalars<T>* latest;  // in device memory: those of launches that a graph replays
  const Tile* tiles;
  DeviceStats* stats;
  Counts* report;  // in host memory, mapped
  GapRow* rows;
  GapState* gap_state;
  int32_t gap_rows;
  int64_t start, stop;
  int32_t first_tile, last_tile;
  bool row_per_segment, measured_in_steps, has_first_pass;
  bool has_scan;  // only a scan counts into `refusing`

  __device__ int row(int segment) const { return row_per_segment ? segment : 0; }

  template <bool kCaptured>
  __device__ const Scalars<T>& now() const {
    if constexpr (kCaptured)
      return *latest;
    else
      return scalars;
  }
};

// One pointer per segment.
struct Gradients {
  const void* at[kMaxGradients];
  const void* const* table;  // in device memory, where there are more

  __device__ const void* operator[](int segment) const { return table == nullptr ? at[segment] : table[segment]; }
};

template <class T>
struct Sums {
  T gap_sq = 0, step_sq = 0, nonfinite = 0, share = 0, size_sq = 0;

  __device__ void add(const Observed<T>& seen) {
    gap_sq += seen.gap * seen.gap;
    step_sq += seen.step * seen.step;
    nonfinite += seen.nonfinite;
    share += seen.share;
    size_sq += seen.size * seen.size;
  }

  // Without size_sq, which belongs to a row.
  __device__ void add(const Sums& other) {
    gap_sq += other.gap_sq;
    step_sq += other.step_sq;
    nonfinite += other.nonfinite;
    share += other.share;
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
  const double gap_sq = block_sum(sums.gap_sq), step_sq = block_sum(sums.step_sq), bad = block_sum(sums.nonfinite),
               share = block_sum(sums.share);
  if (threadIdx.x != 0) return;
  atomicAdd(&stats->gap_sq, gap_sq);
  atomicAdd(&stats->step_sq, step_sq);
  atomicAdd(&stats->share, share);
  if (bad != 0) atomicAdd(&stats->nonfinite, static_cast<unsigned long long>(bad));
}

// Whether this block is the last one of the push to get here; the result is the same in all of its threads.
__device__ inline bool is_last_block(DeviceStats* stats) {
  __shared__ bool is_last;
  __syncthreads();  // every thread of the block has read `refusing`, which may be reset to 0 next
  // This thread made all of the block's additions: they are visible before its block counts as finished.
  if (threadIdx.x == 0) is_last = add_acq_rel(&stats->finished, 1u) == gridDim.x - 1;
  __syncthreads();
  return is_last;
}

// Called by the last block: writes the counts to the host and resets them to zero for the next push, without a memset
// or a copy. All words are read before the first is written: as the compiler may not exchange volatile accesses, each
// load behind a store would wait for a round trip of its own.
__device__ inline void hand_over(DeviceStats* stats_, Counts* report) {
  if (threadIdx.x != 0) return;
  volatile DeviceStats* const stats = stats_;  // not from the L1 cache, which may hold this block's first read
  Counts seen;
  seen.gap_sq = stats->gap_sq;
  seen.step_sq = stats->step_sq;
  seen.share = stats->share;
  seen.grad_sq = stats->grad_sq;
  seen.nonfinite = stats->nonfinite;
  seen.refusing = stats->refusing;
  *report = seen;
  stats->gap_sq = 0;  // one statement each: a = b = 0 would read b again
  stats->step_sq = 0;
  stats->share = 0;
  stats->grad_sq = 0;
  stats->nonfinite = 0;
  stats->refusing = 0;
  stats->finished = 0;
}

// Called by the last block: updates gap_state and resets the rows to zero. A refused push has counted no elements.
template <bool kPerElement, class T>
__device__ void settle_rows(const Work<T>& work, const GapStateRule& rule) {
  for (int k = threadIdx.x; k < work.gap_rows; k += kThreads) {
    volatile GapRow& row = work.rows[k];
    const double elements = row.elements, gap_sq = row.gap_sq, size_sq = row.size_sq;  // all before the first store
    row.measured_sq = 0;
    row.gap_sq = 0;
    row.size_sq = 0;
    row.elements = 0;
    if (elements > 0) rule.settle(work.gap_state[k], gap_sq, kPerElement ? size_sq / elements : size_sq);
  }
}

// Accumulates a block's sums of one row until the row changes, so that consecutive tiles of a row are added to memory
// together.
template <class T>
struct RowSums {
  int row = -1;
  int64_t elements = 0;
  Sums<T> sums;

  __device__ void begin(int next, const Work<T>& work, Sums<T>& all) {
    if (next == row) return;
    flush(work, all);
    row = next;
  }

  __device__ void flush(const Work<T>& work, Sums<T>& all) {
    const double gap_sq = block_sum(sums.gap_sq);
    const double size_sq = block_sum(work.measured_in_steps ? sums.step_sq : sums.size_sq);
    if (threadIdx.x == 0 && row >= 0) {
      atomicAdd(&work.rows[row].gap_sq, gap_sq);
      atomicAdd(&work.rows[row].size_sq, size_sq);
      atomicAdd(&work.rows[row].elements, static_cast<double>(elements));
    }
    all.add(sums);
    sums = {};
    elements = 0;
  }
};

// visit(std::integral_constant<int, k>, i): k elements from i on. This thread and its neighbours cover all of a tile's
// [0, n), in packs if all its addresses are aligned.
template <class T, class Visit>
__device__ void for_each_in_tile(int n, bool packed, const Visit& visit) {
  constexpr int kCount = kWidth<T>;
  const int tail = packed ? n / kCount * kCount : 0;
  for (int i = threadIdx.x * kCount; i < tail; i += kThreads * kCount) visit(std::integral_constant<int, kCount>{}, i);
  for (int i = tail + threadIdx.x; i < n; i += kThreads) visit(std::integral_constant<int, 1>{}, i);
}

// A pack of each buffer. Packs of buffers that no stage uses are never touched and take no registers.
template <class T, int kCount>
struct Packs {
#define HOGWILD_PACK(name) Pack<T, kCount> name;
  HOGWILD_BUFFERS(HOGWILD_PACK)
#undef HOGWILD_PACK
};

// kWidth elements from i on, through registers. Under Atomic, x and the center are changed by additions in memory (a
// snapshot is then the value read minus this push's step), and shared momentum buffers by compare-and-exchange in
// memory, starting from the value read.
template <class Stages, class Access, class T, class G>
__device__ void push_pack(const Buffers<T>& at, const G* g, int64_t i, const Hyper<T>& h, Sums<T>& sums) {
  constexpr int kCount = kWidth<T>;
  constexpr bool kAtomic = std::is_same_v<Access, Atomic>;
  constexpr unsigned kInMemory = kAtomic ? buffer::motion & ~Stages::own : buffer::none;
  constexpr unsigned kAdded = kAtomic ? buffer::x | buffer::center : buffer::none;
  constexpr unsigned kStored = Stages::uses & ~(kInMemory | kAdded);
  const Pack<G, kCount> gradient = load_once<G, kCount>(g + i);
  Packs<T, kCount> packs;
  Buffers<T> here;
#define HOGWILD_LOAD(name)                                                      \
  if constexpr (Stages::uses_##name) packs.name = load<T, kCount>(at.name + i); \
  here.name = (kInMemory & buffer::name) != 0 ? at.name + i : packs.name.at;
  HOGWILD_BUFFERS(HOGWILD_LOAD)
#undef HOGWILD_LOAD

  Pack<T, kCount> delta, drawn;
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    Motion<T> now;
#define HOGWILD_READ(name) \
  if constexpr (Stages::uses_##name) now.name = packs.name.at[k];
    HOGWILD_MOTION(HOGWILD_READ)
#undef HOGWILD_READ
    const auto seen = Stages::template element<Racing, Access>(here, k, widen<T>(gradient.at[k]), h, now);
    delta.at[k] = -seen.step - seen.drawn;
    drawn.at[k] = seen.drawn;
    sums.add(seen);
  }

  if constexpr (kAtomic) red_add(at.x + i, delta);
  if constexpr (kAtomic && Stages::uses_center) red_add(at.center + i, drawn);
#define HOGWILD_STORE(name) \
  if constexpr ((kStored & buffer::name) != 0) store(at.name + i, packs.name);
  HOGWILD_BUFFERS(HOGWILD_STORE)
#undef HOGWILD_STORE
}

// Elements [0, n) of one tile.
template <class Stages, class Access, class T, class G>
__device__ void push_tile(const Buffers<T>& at, const G* g, int n, const Hyper<T>& h, Sums<T>& sums) {
  const bool packed = aligned<T>(at.x, kWidth<T>) && aligned<G>(g, kWidth<T>);
  for_each_in_tile<T>(n, packed, [&](auto count, int i) {
    if constexpr (decltype(count)::value == 1)
      sums.add(Stages::template element<Access, Access>(at, i, widen<T>(g[i]), h));
    else
      push_pack<Stages, Access>(at, g, i, h, sums);
  });
}

// A tile without a gradient.
template <class Idle, class Access, class T>
__device__ void idle_tile(const Buffers<T>& at, int n, const Hyper<T>& h, Sums<T>& sums) {
  for (int i = threadIdx.x; i < n; i += kThreads) {
    const T gap = Idle::template element<Access>(at, i, h);
    sums.gap_sq += gap * gap;
  }
}

// visit(segment index, its offset, begin, n) for this block's tiles: elements [begin, begin + n) of the flat buffers.
// The next tile's descriptor is on its way while a tile is worked on.
template <class T, class Visit>
__device__ void for_each_tile(const Work<T>& work, const Visit& visit) {
  int t = work.first_tile + blockIdx.x;
  if (t >= work.last_tile) return;
  Tile next = work.tiles[t];
  while (t < work.last_tile) {
    const Tile tile = next;
    t += gridDim.x;
    if (t < work.last_tile) next = work.tiles[t];
    const int64_t begin = max(tile.begin, work.start), end = min(tile.begin + tile.count, work.stop);
    if (begin < end) visit(tile.segment, tile.offset, begin, static_cast<int>(end - begin));
  }
}

}  // namespace hogwild::cuda
