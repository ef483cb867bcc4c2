// Launches a push of a rule for one pair of element types. Host; instantiated in push_<type>.cu and captured_<type>.cu.
#pragma once

#include <algorithm>

#include "../dispatch.h"
#include "passes.cuh"
#include "runtime.cuh"
#include "tables.cuh"

namespace hogwild::cuda {

// The tiles of the segments that overlap [start, stop), and the arguments of the kernels for them.
template <class T>
Work<T> make_work(const PushPlan& plan, const PushCall& call, const Tables& tables) {
  const auto& segments = plan.segments;
  size_t first = 0, last = segments.size();
  while (first < last && segments[first].offset + segments[first].numel <= call.start) ++first;
  while (last > first && segments[last - 1].offset >= call.stop) --last;
  Work<T> work;
  work.buffers = slice<T>(plan.buffers, 0);
  work.scalars = make_scalars<T>(plan.rule, call);
  work.latest = tables.scalars;
  work.segments = tables.segments;
  work.tiles = tables.tiles;
  work.stats = tables.stats;
  work.report = tables.report;
  work.rows = tables.rows;
  work.gap_state = plan.gap_state;
  work.gap_rows = static_cast<int32_t>(plan.gap_rows());
  work.start = call.start;
  work.stop = call.stop;
  work.first_tile = tables.first_tile[first];
  work.last_tile = tables.first_tile[last];
  work.row_per_segment = plan.rule.gap_per_segment;
  work.measured_in_steps = plan.rule.unit == Unit::step;
  work.has_first_pass = plan.rule.has_first_pass();
  work.has_groups = plan.has_groups();
  work.has_scan = plan.rule.guard == GuardKind::push;
  return work;
}

template <bool kCaptured, class T, class G>
bool launch_push(const PushPlan& plan, const PushCall& call, const Tables& tables) {
  const Work<T> work = make_work<T>(plan, call, tables);
  const int tiles = work.last_tile - work.first_tile;
  if (tiles == 0) return false;
  const auto blocks = static_cast<unsigned>(std::min(tiles, tables.blocks));
  Gradients gradients{};
  gradients.table = tables.gradients;
  if (tables.gradients == nullptr) std::copy(call.grads.begin(), call.grads.end(), gradients.at);
  const cudaStream_t stream = as_stream(call.stream);
  const bool scans = plan.rule.guard == GuardKind::push;

  if (scans && !tables.cooperates) {
    Launch{"scan_kernel", blocks, kThreads, stream}(scan_kernel<T, G>, work, gradients);
  }
  if (plan.rule.has_first_pass() && !tables.cooperates) {
    Launch{"gap_kernel", blocks, kThreads, stream}(gap_kernel<T>, work, gradients);
  }
  const auto push = [&](auto stages, auto access) {
    using Stages = typename decltype(stages)::type;
    using Access = typename decltype(access)::type;
    if constexpr (Stages::uses_rows && !Stages::penalises_elements) {
      if (tables.cooperates) {
        const Launch launch{"cooperative_kernel", blocks, kThreads, stream, true};
        launch(cooperative_kernel<Stages, Access, kCaptured, T, G>, work, gradients, scans);
        return;
      }
    }
    const Launch launch{"push_kernel", blocks, kThreads, stream};
    launch(push_kernel<Stages, Access, kCaptured, T, G>, work, gradients);
  };
  const bool has_snapshot = plan.buffers.snapshot != nullptr;
  with_stages<FiniteOnly>(plan.rule, has_snapshot, flushes(plan.rule, call), [&](auto stages) {
    if (plan.rule.access != AccessKind::atomic) return push(stages, Type<Racing>{});
    with_own_v<typename decltype(stages)::type>(plan.rule, [&](auto chosen) { push(chosen, Type<Atomic>{}); });
  });
  return true;
}

}  // namespace hogwild::cuda
