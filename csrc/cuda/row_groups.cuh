// The different rows of a sparse gradient on the device, each with the sum of its values in order of occurrence: a hash
// table of rows, whose slots count and then list the positions of their occurrences.
#pragma once

#include <algorithm>
#include <tuple>

#include "../rows.h"
#include "counts.cuh"
#include "runtime.cuh"

namespace hogwild::cuda {

constexpr int kRowThreads = kRowLanes;  // a block of one warp works on a row
constexpr unsigned long long kFree = 0;

// The report of one table's part of a push. In device memory; zero at the begin of a push.
struct RowCounts {
  unsigned long long missing;  // count - position of the first row that does not exist, or 0
  unsigned unique, listed;
  unsigned long long nonfinite;                                        // of the summed rows
  unsigned long long pushed_nonfinite;                                 // that the push left out
  unsigned long long delay_sum, delays[std::tuple_size_v<RowDelays>];  // rows with a delay > 0 alone
  double grad_sq, step_sq;
  double decay_now;  // log_decay, this push included
};

struct Slot {
  unsigned long long key;  // row + 1, or kFree
  unsigned last;           // ~position of the first occurrence; largest wins
  unsigned count, begin, filled;
};

// One table's gradient on the device, and its groups.
struct RowWork {
  const int64_t* rows;
  const void* values;
  int64_t count, table_rows, dim;
  Slot* slots;
  unsigned n_slots;   // a power of two
  unsigned* slot_of;  // [count]
  unsigned* listed;   // [count] positions, by slot
  unsigned* unique;   // [count] slots of different rows
  float* sums;        // [unique, dim]
  RowCounts* counts;
};

__device__ inline unsigned hashed(int64_t row, unsigned n_slots) {
  const unsigned long long mixed = static_cast<unsigned long long>(row) * 0x9E3779B97F4A7C15ull;
  return static_cast<unsigned>(mixed >> 32) & (n_slots - 1);
}

__global__ void __launch_bounds__(kThreads) find_rows(const RowWork work) {
  for (int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x; i < work.count;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
    const int64_t row = work.rows[i];
    if (row < 0 || row >= work.table_rows) {
      atomicMax(&work.counts->missing, static_cast<unsigned long long>(work.count - i));
      continue;
    }
    const unsigned long long key = static_cast<unsigned long long>(row) + 1;
    unsigned at = hashed(row, work.n_slots);
    for (;; at = (at + 1) & (work.n_slots - 1)) {
      const unsigned long long found = atomicCAS(&work.slots[at].key, kFree, key);
      if (found == kFree || found == key) break;
    }
    Slot& slot = work.slots[at];
    work.slot_of[i] = at;
    atomicMax(&slot.last, ~static_cast<unsigned>(i));
    atomicAdd(&slot.count, 1u);
  }
}

// The first occurrence of a row takes a place for it, and one for the list of its positions.
__global__ void __launch_bounds__(kThreads) place_rows(const RowWork work) {
  if (work.counts->missing != 0) return;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x; i < work.count;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
    Slot& slot = work.slots[work.slot_of[i]];
    if (~slot.last != static_cast<unsigned>(i)) continue;
    slot.begin = atomicAdd(&work.counts->listed, slot.count);
    work.unique[atomicAdd(&work.counts->unique, 1u)] = work.slot_of[i];
  }
}

__global__ void __launch_bounds__(kThreads) list_rows(const RowWork work) {
  if (work.counts->missing != 0) return;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x; i < work.count;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
    Slot& slot = work.slots[work.slot_of[i]];
    work.listed[slot.begin + atomicAdd(&slot.filled, 1u)] = static_cast<unsigned>(i);
  }
}

// The sum over a block of one warp in the order of kRowLanes partial sums; the same in all of its threads.
template <class T>
__device__ T row_sum(T value) {
  __shared__ T lanes[kRowThreads];
  __syncthreads();
  lanes[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = kRowThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) lanes[threadIdx.x] += lanes[threadIdx.x + half];
    __syncthreads();
  }
  return lanes[0];
}

// The smallest position of a list that is larger than `before`, for all threads of a block of one warp.
__device__ inline unsigned next_position(const unsigned* listed, unsigned count, int64_t before) {
  __shared__ unsigned smallest[kRowThreads];
  unsigned mine = ~0u;
  for (unsigned k = threadIdx.x; k < count; k += kRowThreads)
    if (static_cast<int64_t>(listed[k]) > before) mine = min(mine, listed[k]);
  __syncthreads();
  smallest[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned half = kRowThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) smallest[threadIdx.x] = min(smallest[threadIdx.x], smallest[threadIdx.x + half]);
    __syncthreads();
  }
  return smallest[0];
}

// The sums of the rows, and their sum of squares and non-finite elements.
template <class G>
__global__ void __launch_bounds__(kRowThreads) sum_rows(const RowWork work) {
  if (work.counts->missing != 0) return;
  const G* const values = static_cast<const G*>(work.values);
  double grad_sq = 0, nonfinite = 0;
  for (unsigned u = blockIdx.x; u < work.counts->unique; u += gridDim.x) {
    const Slot& slot = work.slots[work.unique[u]];
    float* const sum = work.sums + u * work.dim;
    int64_t at = -1;
    for (unsigned k = 0; k < slot.count; ++k) {
      at = next_position(work.listed + slot.begin, slot.count, at);
      for (int64_t c = threadIdx.x; c < work.dim; c += kRowThreads) {
        const float value = widen<float>(values[at * work.dim + c]);
        sum[c] = k == 0 ? value : sum[c] + value;
      }
    }
    for (int64_t c = threadIdx.x; c < work.dim; c += kRowThreads) {
      nonfinite += !hw_isfinite(sum[c]);
      grad_sq += static_cast<double>(sum[c]) * sum[c];
    }
  }
  const double all_sq = row_sum(grad_sq), bad = row_sum(nonfinite);
  if (threadIdx.x != 0) return;
  atomicAdd(&work.counts->grad_sq, all_sq);
  if (bad != 0) atomicAdd(&work.counts->nonfinite, static_cast<unsigned long long>(bad));
}

}  // namespace hogwild::cuda
