// The interface between cuda::Push and the launches of one pair of element types. Host.
#pragma once

#include <vector>

#include "../rule.h"
#include "loop.cuh"
#include "runtime.cuh"

namespace hogwild::cuda {

// The data of a push besides its plan: tables in device memory, and the first tile of each segment.
struct Tables {
  const Tile* tiles;
  DeviceStats* stats;
  Counts* report;                   // in mapped host memory: the counts of the latest push
  Scalars<float>* scalars;          // of a push that a graph replays
  const void** gradients;           // one pointer per segment; null where they fit into the kernel's arguments
  GapRow* rows;                     // as many as gap_state has; null without a gap penalty of whole segments
  std::vector<int32_t> first_tile;  // [segments + 1]
  int blocks;                       // blocks of a full grid, all of them resident at once
  bool cooperates;                  // a gap of whole segments in one launch
};

template <class T>
Scalars<T> make_scalars(const Rule& rule, const PushCall& call) {
  Scalars<T> scalars;
  scalars.hyper = fold(rule, call).as<T>();
  scalars.scale = call.scale;
  scalars.clip = call.clip;
  scalars.gap = fold_gap_state(rule, call);
  return scalars;
}

// False: there was nothing to do. kCaptured: for a graph, which reads the scalars from device memory at each replay.
// Defined in launch.cuh.
template <bool kCaptured, class T, class G>
bool launch_push(const PushPlan& plan, const PushCall& call, const Tables& tables);

}  // namespace hogwild::cuda
