// The device's loops: tiles over a fixed grid, 16-byte accesses, statistics reduced per block. They contain no
// equation.
#pragma once

#include "../mix.h"
#include "counts.cuh"

namespace hogwild::cuda {

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

// visit(Constant<k>, Constant<p>, i): p packs of k elements, the first from i on, each kPackStride<T> behind the one
// before it. This thread and its neighbours cover all of a tile's [0, n), in packs if all its addresses are aligned, and
// in kPacks of them at once while that many are left.
template <class T>
constexpr int kPackStride = kThreads * kWidth<T>;

template <class T, int kPacks = 1, class Visit>
__device__ void for_each_in_tile(int n, bool packed, const Visit& visit) {
  constexpr int kCount = kWidth<T>, kStride = kPackStride<T>;
  const int tail = packed ? n / kCount * kCount : 0;
  int i = threadIdx.x * kCount;
  if constexpr (kPacks > 1)
    for (; i + (kPacks - 1) * kStride < tail; i += kPacks * kStride) visit(Constant<kCount>{}, Constant<kPacks>{}, i);
  for (; i < tail; i += kStride) visit(Constant<kCount>{}, Constant<1>{}, i);
  for (int k = tail + threadIdx.x; k < n; k += kThreads) visit(Constant<1>{}, Constant<1>{}, k);
}

// A pack of each buffer. Packs of buffers that no stage uses are never touched and take no registers.
template <class T, int kCount>
struct Packs {
#define HOGWILD_PACK(name) Pack<T, kCount> name;
  HOGWILD_BUFFERS(HOGWILD_PACK)
#undef HOGWILD_PACK
};

// Packs of a gradient and of the buffers that a push's stages use, each from element i on.
template <class Stages, class T, class G>
struct Loaded {
  Pack<G, kWidth<T>> gradient;
  Packs<T, kWidth<T>> packs;

  __device__ __forceinline__ void load_at(const Buffers<T>& at, const G* g, int64_t i) {
    gradient = load_once<G, kWidth<T>>(g + i);
#define HOGWILD_LOAD(name) \
  if constexpr (Stages::uses_##name) packs.name = load<T, kWidth<T>>(at.name + i);
    HOGWILD_BUFFERS(HOGWILD_LOAD)
#undef HOGWILD_LOAD
  }
};

// kWidth elements from i on, through registers. Under Atomic, x, or the center if there is one, is changed by additions
// in memory (a snapshot is then the value read minus this push's step), and shared momentum buffers by
// compare-and-exchange in memory, starting from the value read.
template <class Stages, class Access, class T, class G>
__device__ __forceinline__ void push_pack(const Buffers<T>& at, Loaded<Stages, T, G>& loaded, int64_t i,
                                          const Hyper<T>& h, Sums<T>& sums) {
  constexpr int kCount = kWidth<T>;
  constexpr bool kAtomic = std::is_same_v<Access, Atomic>;
  constexpr unsigned kInMemory = kAtomic ? buffer::motion & ~Stages::own : buffer::none;
  constexpr unsigned kAdded = !kAtomic ? buffer::none : Stages::uses_center ? buffer::center : buffer::x;
  constexpr unsigned kStored = Stages::uses & ~(kInMemory | kAdded);
  auto& packs = loaded.packs;
  Buffers<T> here;
#define HOGWILD_HERE(name) here.name = (kInMemory & buffer::name) != 0 ? at.name + i : packs.name.at;
  HOGWILD_BUFFERS(HOGWILD_HERE)
#undef HOGWILD_HERE

  Pack<T, kCount> delta, drawn;
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    Motion<T> now;
#define HOGWILD_READ(name) \
  if constexpr (Stages::uses_##name) now.name = packs.name.at[k];
    HOGWILD_MOTION(HOGWILD_READ)
#undef HOGWILD_READ
    const auto seen = Stages::template element<Racing, Access>(here, k, widen<T>(loaded.gradient.at[k]), h, now);
    delta.at[k] = -seen.step - seen.drawn;
    drawn.at[k] = seen.drawn;
    sums.add(seen);
  }

  if constexpr ((kAdded & buffer::x) != 0) red_add(at.x + i, delta);
  if constexpr ((kAdded & buffer::center) != 0) red_add(at.center + i, drawn);
#define HOGWILD_STORE(name) \
  if constexpr ((kStored & buffer::name) != 0) store(at.name + i, packs.name);
  HOGWILD_BUFFERS(HOGWILD_STORE)
#undef HOGWILD_STORE
}

// Packs that a thread loads before it works on the first. Two for rules of at most four streams and little arithmetic,
// which would otherwise have too few loads in flight; for others, with additions in memory beside four streams, or with
// compare-and-exchanges in memory, the registers do not suffice.
template <class Stages, class Access>
constexpr int kPacksAtOnce = [] {
  int streams = 1;
  for (unsigned rest = Stages::uses; rest != 0; rest &= rest - 1) ++streams;
  constexpr bool kAtomic = std::is_same_v<Access, Atomic>;
  const bool exchanges = kAtomic && (Stages::uses & buffer::motion & ~Stages::own) != 0;
  const bool has_root = Stages::uses_q || Stages::uses_ms || Stages::penalises_elements;
  return streams <= (kAtomic ? 3 : 4) && !exchanges && !has_root && !Stages::uses_rows ? 2 : 1;
}();

// Elements [0, n) of one tile.
template <class Stages, class Access, class T, class G>
__device__ void push_tile(const Buffers<T>& at, const G* g, int n, const Hyper<T>& h, Sums<T>& sums) {
  const bool packed = aligned<T>(at.x, kWidth<T>) && aligned<G>(g, kWidth<T>);
  for_each_in_tile<T, kPacksAtOnce<Stages, Access>>(n, packed, [&](auto count, auto at_once, int i) {
    constexpr int kPacks = decltype(at_once)::value;
    if constexpr (decltype(count)::value == 1) {
      sums.add(Stages::template element<Access, Access>(at, i, widen<T>(g[i]), h));
    } else {
      Loaded<Stages, T, G> loaded[kPacks];
#pragma unroll
      for (int p = 0; p < kPacks; ++p) loaded[p].load_at(at, g, i + p * kPackStride<T>);
#pragma unroll
      for (int p = 0; p < kPacks; ++p) push_pack<Stages, Access>(at, loaded[p], i + p * kPackStride<T>, h, sums);
    }
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
// The next tile's descriptor is on its way to the cache while a tile is worked on; in registers it would cost some
// kernels spills.
template <class T, class Visit>
__device__ void for_each_tile(const Work<T>& work, const Visit& visit) {
  const int stride = gridDim.x;
  for (int t = work.first_tile + blockIdx.x; t < work.last_tile; t += stride) {
    const Tile tile = work.tiles[t];
    if (t + stride < work.last_tile) prefetch(work.tiles + t + stride);
    const int64_t begin = max(tile.begin, work.start), end = min(tile.begin + tile.count, work.stop);
    if (begin < end) visit(tile.segment, tile.offset, begin, static_cast<int>(end - begin));
  }
}

}  // namespace hogwild::cuda
