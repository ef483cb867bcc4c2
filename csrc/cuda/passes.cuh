// The passes of a push over its tiles, and the kernels that launch them: one kernel per pass, or one for all passes.
#pragma once

#include <cooperative_groups.h>

#include "loop.cuh"

namespace hogwild::cuda {

// Counts the non-finite elements of the gradients and sums their squares, before a push; one such element cancels the
// push.
template <class T, class G>
__device__ void scan_pass(const Work<T>& work, const Gradients& gradients) {
  int nonfinite = 0;
  T grad_sq = 0;
  const auto visit = [&](G element) {
    const T g = widen<T>(element);
    nonfinite += !hw_isfinite(g);
    grad_sq += g * g;
  };
  for_each_tile(work, [&](int segment, int64_t offset, int64_t begin, int n) {
    const auto* all = static_cast<const G*>(gradients[segment]);
    if (all == nullptr) return;
    const G* g = all + (begin - offset);
    for_each_in_tile<T>(n, aligned<G>(g, kWidth<T>), [&](auto count, auto, int i) {
      const auto pack = load<G, decltype(count)::value>(g + i);
      for (const G element : pack.at) visit(element);
    });
  });
  if (nonfinite != 0) atomicAdd(&work.stats->refusing, static_cast<unsigned long long>(nonfinite));
  const double sum = block_sum(grad_sq);
  if (threadIdx.x == 0) atomicAdd(&work.stats->grad_sq, sum);
}

// The first pass of a gap penalty of whole segments: ||x - snapshot||^2.
template <class T>
__device__ void gap_pass(const Work<T>& work, const Gradients& gradients) {
  int row = -1;
  T gap_sq = 0;
  const auto flush = [&] {
    const double sum = block_sum(gap_sq);
    if (threadIdx.x == 0 && row >= 0) atomicAdd(&work.rows[row].measured_sq, sum);
    gap_sq = 0;
  };
  for_each_tile(work, [&](int segment, int64_t, int64_t begin, int n) {
    if (gradients[segment] == nullptr) return;
    if (work.row(segment) != row) {
      flush();
      row = work.row(segment);
    }
    const Buffers<T> at = slice<T>(work.buffers, begin);
    for_each_in_tile<T>(n, aligned<T>(at.x, kWidth<T>), [&](auto count, auto, int i) {
      constexpr int kCount = decltype(count)::value;
      const Pack<T, kCount> x = load<T, kCount>(at.x + i), snapshot = load<T, kCount>(at.snapshot + i);
      for (int k = 0; k < kCount; ++k) gap_sq += (x.at[k] - snapshot.at[k]) * (x.at[k] - snapshot.at[k]);
    });
  });
  flush();
}

// The push itself; the block that finishes last then processes the sums.
template <class Stages, class Access, bool kCaptured, class T, class G>
__device__ void push_pass(const Work<T>& work, const Gradients& gradients) {
  using Penalty = typename Stages::PenaltyStage;
  const Scalars<T>& now = work.template now<kCaptured>();
  if (!work.has_scan || work.stats->refusing == 0) {
    Hyper<T> all = now.hyper;
    if (now.clip > 0) all.scale = static_cast<T>(clipped(now.scale, now.clip, work.stats->grad_sq));
    Sums<T> sums;
    RowSums<T> of_row;
    for_each_tile(work, [&](int segment, int64_t offset, int64_t begin, int n) {
      const Buffers<T> at = slice<T>(work.buffers, begin);
      Hyper<T> h = work.group(segment, all);
      const auto* g = static_cast<const G*>(gradients[segment]);
      if (g == nullptr) {
        if constexpr (Stages::measures_gap) idle_tile<typename Stages::Idle, Access>(at, n, h, sums);
      } else if constexpr (Stages::uses_rows) {
        const int row = work.row(segment);
        of_row.begin(row, work, sums);
        of_row.elements += n;
        const GapState& state = work.gap_state[row];
        const double gap_sq = work.has_first_pass ? work.rows[row].measured_sq : state.gap_sq;
        h.gap_row = static_cast<T>(Penalty::row(state, gap_sq, now.gap));
        push_tile<Stages, Access>(at, g + (begin - offset), n, h, of_row.sums);
      } else {
        push_tile<Stages, Access>(at, g + (begin - offset), n, h, sums);
      }
    });
    if constexpr (Stages::uses_rows) of_row.flush(work, sums);
    flush(sums, work.stats);
  }
  if (!is_last_block(work.stats)) return;
  hand_over(work.stats, work.report);
  if constexpr (Stages::uses_rows) settle_rows<Penalty::per_element>(work, now.gap);
}

template <class T, class G>
__global__ void __launch_bounds__(kThreads)
    scan_kernel(const __grid_constant__ Work<T> work, const __grid_constant__ Gradients gradients) {
  scan_pass<T, G>(work, gradients);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gap_kernel(const __grid_constant__ Work<T> work, const __grid_constant__ Gradients gradients) {
  gap_pass(work, gradients);
}

template <class Stages, class Access, bool kCaptured, class T, class G>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor)
    push_kernel(const __grid_constant__ Work<T> work, const __grid_constant__ Gradients gradients) {
  push_pass<Stages, Access, kCaptured, T, G>(work, gradients);
}

// Scan, norms and push in one cooperative launch: all blocks of the grid synchronise in between, so all of them must be
// resident.
template <class Stages, class Access, bool kCaptured, class T, class G>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor)
    cooperative_kernel(const __grid_constant__ Work<T> work, const __grid_constant__ Gradients gradients, bool scans) {
  if (scans) scan_pass<T, G>(work, gradients);
  gap_pass(work, gradients);
  cooperative_groups::this_grid().sync();
  push_pass<Stages, Access, kCaptured, T, G>(work, gradients);
}

}  // namespace hogwild::cuda
