// The arguments of a push's kernels, and what they keep in device memory. Plain structs.
#pragma once

#include "../push.h"
#include "../rule.h"

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
  const Segment* segments;   // for their groups
  const Tile* tiles;
  DeviceStats* stats;
  Counts* report;  // in host memory, mapped
  GapRow* rows;
  GapState* gap_state;
  int32_t gap_rows;
  int64_t start, stop;
  int32_t first_tile, last_tile;
  bool row_per_segment, measured_in_steps, has_first_pass, has_groups;
  bool has_scan;  // only a scan counts into `refusing`

  __device__ Hyper<T> group(int segment, Hyper<T> h) const {
    if (has_groups) {
      segments[segment].enter(h);
      enter_group(h);
    }
    return h;
  }

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

}  // namespace hogwild::cuda
