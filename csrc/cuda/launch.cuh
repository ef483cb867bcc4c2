// A push of one pair of element types, from a rule to launches. Host; each push_<type>.cu instantiates one pair.
#pragma once

#include <algorithm>

#include "../dispatch.h"
#include "runtime.cuh"
#include "tables.cuh"

namespace hogwild::cuda {

// launch(work, gradients, blocks) over the tiles of the segments that reach into [start, stop). False: there are none.
template <class T, class Launch>
bool launch_tiles(const PushPlan& plan, const PushCall& call, const Tables& tables, const Launch& launch) {
  const auto& segments = plan.segments;
  size_t first = 0, last = segments.size();
  while (first < last && segments[first].offset + segments[first].numel <= call.start) ++first;
  while (last > first && segments[last - 1].offset >= call.stop) --last;
  const int tiles = tables.first_tile[last] - tables.first_tile[first];
  if (tiles == 0) return false;
  Gradients gradients{};
  gradients.table = tables.gradients;
  if (tables.gradients == nullptr) std::copy(call.grads.begin(), call.grads.end(), gradients.at);
  const Work<T> work{slice<T>(plan.buffers, 0),
                     fold(plan.rule, call).as<T>(),
                     tables.segments,
                     tables.tiles,
                     tables.stats,
                     tables.report,
                     tables.rows,
                     call.scale,
                     call.clip,
                     call.start,
                     call.stop,
                     tables.first_tile[first],
                     tables.first_tile[last],
                     plan.rule.penalty == PenaltyKind::layer_gap,
                     plan.rule.unit == Unit::step};
  launch(work, gradients, std::min(tiles, tables.blocks));
  return true;
}

template <class T, class G>
bool launch_push(const PushPlan& plan, const PushCall& call, const Tables& tables) {
  const cudaStream_t stream = as_stream(call.stream);
  if (plan.rule.guard == GuardKind::push)
    launch_tiles<T>(plan, call, tables, [&](const Work<T>& work, const Gradients& gradients, int blocks) {
      scan_kernel<T, G><<<blocks, kThreads, 0, stream>>>(work, gradients);
      check_launch("scan_kernel");
    });
  if (plan.rule.has_norm_gap()) {
    if (!plan.rule.gap_lagged)
      launch_tiles<T>(plan, call, tables, [&](const Work<T>& work, const Gradients& gradients, int blocks) {
        gap_kernel<T><<<blocks, kThreads, 0, stream>>>(work, gradients);
        check_launch("gap_kernel");
      });
    make_shares(plan, call, tables);
  }
  const auto push = [&](auto stages, auto access) {
    return launch_tiles<T>(plan, call, tables, [&](const Work<T>& work, const Gradients& gradients, int blocks) {
      push_kernel<typename decltype(stages)::type, typename decltype(access)::type, T, G>
          <<<blocks, kThreads, 0, stream>>>(work, gradients);
      check_launch("push_kernel");
    });
  };
  const bool has_snapshot = plan.buffers.snapshot != nullptr;
  const bool ran = with_stages<FiniteOnly>(plan.rule, has_snapshot, flushes(plan.rule, call), [&](auto stages) {
    return plan.rule.access == AccessKind::atomic ? push(stages, Type<Atomic>{}) : push(stages, Type<Racing>{});
  });
  if (plan.rule.has_norm_gap()) settle_rows(plan, call, tables);
  return ran;
}

}  // namespace hogwild::cuda
