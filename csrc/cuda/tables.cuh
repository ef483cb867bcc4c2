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
  std::vector<int32_t> first_tile;  // [segments + 1]
  int blocks;                       // of a full grid
};

// Defined in launch.cuh, instantiated in push_<type>.cu.
template <class T, class G>
void launch_push(const PushPlan& plan, const PushCall& call, const Tables& tables);

}  // namespace hogwild::cuda
