// A push of one pair of element types, from a rule to launches. Host; each push_<type>.cu instantiates one pair.
#pragma once

#include <algorithm>

#include "../dispatch.h"
#include "runtime.cuh"
#include "tables.cuh"

namespace hogwild::cuda {

// launch(work, gradients, blocks) once for every kMaxGradients segments that reach into [start, stop).
template <class T, class Launch>
void for_each_launch(const PushPlan& plan, const PushCall& call, const Tables& tables, const Launch& launch) {
  const auto& segments = plan.segments;
  size_t first = 0, last = segments.size();
  while (first < last && segments[first].offset + segments[first].numel <= call.start) ++first;
  while (last > first && segments[last - 1].offset >= call.stop) --last;
  for (size_t begin = first; begin < last; begin += kMaxGradients) {
    const size_t end = std::min(last, begin + kMaxGradients);
    Gradients gradients{};
    std::copy(call.grads.begin() + static_cast<long>(begin), call.grads.begin() + static_cast<long>(end), gradients.at);
    const Work<T> work{slice<T>(plan.buffers, 0),
                       fold(plan.rule, call).as<T>(),
                       tables.segments,
                       tables.tiles,
                       tables.stats,
                       tables.rows,
                       call.scale,
                       call.clip,
                       call.start,
                       call.stop,
                       tables.first_tile[begin],
                       tables.first_tile[end],
                       static_cast<int32_t>(begin),
                       plan.rule.penalty == PenaltyKind::layer_gap,
                       plan.rule.unit == Unit::step};
    const int tiles = work.last_tile - work.first_tile;
    if (tiles > 0) launch(work, gradients, std::min(tiles, tables.blocks));
  }
}

template <class T, class G>
void launch_push(const PushPlan& plan, const PushCall& call, const Tables& tables) {
  const cudaStream_t stream = as_stream(call.stream);
  check(cudaMemsetAsync(tables.stats, 0, sizeof(DeviceStats), stream), "cudaMemsetAsync");
  if (plan.rule.guard == GuardKind::push)
    for_each_launch<T>(plan, call, tables, [&](const Work<T>& work, const Gradients& gradients, int blocks) {
      scan_kernel<T, G><<<blocks, kThreads, 0, stream>>>(work, gradients);
      check_launch("scan_kernel");
    });
  if (plan.rule.has_norm_gap()) {
    check(cudaMemsetAsync(tables.rows, 0, plan.gap_rows() * sizeof(GapRow), stream), "cudaMemsetAsync");
    if (!plan.rule.gap_lagged)
      for_each_launch<T>(plan, call, tables, [&](const Work<T>& work, const Gradients& gradients, int blocks) {
        gap_kernel<T><<<blocks, kThreads, 0, stream>>>(work, gradients);
        check_launch("gap_kernel");
      });
    make_shares(plan, call, tables);
  }
  const auto push = [&](auto stages, auto access) {
    for_each_launch<T>(plan, call, tables, [&](const Work<T>& work, const Gradients& gradients, int blocks) {
      push_kernel<typename decltype(stages)::type, typename decltype(access)::type, T, G>
          <<<blocks, kThreads, 0, stream>>>(work, gradients);
      check_launch("push_kernel");
    });
  };
  with_stages<FiniteOnly>(plan.rule, plan.buffers.snapshot != nullptr, flushes(plan.rule, call), [&](auto stages) {
    if (plan.rule.access == AccessKind::atomic)
      push(stages, Type<Atomic>{});
    else
      push(stages, Type<Racing>{});
  });
  if (plan.rule.has_norm_gap()) settle_rows(plan, call, tables);
}

}  // namespace hogwild::cuda
