// The statistics of a push on the device: summed per thread and block, added to device memory, and handed over to the
// host by the block that finishes last.
#pragma once

#include "../push.h"
#include "vector.cuh"
#include "work.cuh"

namespace hogwild::cuda {

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

}  // namespace hogwild::cuda
