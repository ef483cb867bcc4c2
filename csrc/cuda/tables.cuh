// Between cuda::Push and the launches of one pair of element types. Host.
#pragma once

#include <vector>

#include "../rule.h"
#include "loop.cuh"

namespace hogwild::cuda {

// What a push knows beyond its plan: tables in device memory, and where each segment's tiles begin.
struct Tables {
  const Segment* segments;
  const Tile* tiles;
  DeviceStats* stats;
  Counts* report;                   // in mapped host memory: the counts of the latest push
  const void** gradients;           // one pointer per segment; null where they fit into the kernel's arguments
  GapRow* rows;                     // as many as gap_state has; null without a gap penalty of whole segments
  std::vector<int32_t> first_tile;  // [segments + 1]
  int blocks;                       // of a full grid
};

// Before and after the push of a gap penalty of whole segments: shares from what was measured, and gap_state brought up
// to date. Defined in norm_gap.cu.
void make_shares(const PushPlan& plan, const PushCall& call, const Tables& tables);
void settle_rows(const PushPlan& plan, const PushCall& call, const Tables& tables);

// Defined in launch.cuh, instantiated in push_<type>.cu. False: there was nothing to do.
template <class T, class G>
bool launch_push(const PushPlan& plan, const PushCall& call, const Tables& tables);

}  // namespace hogwild::cuda
