// The interface between streams and grids.
#pragma once

#include "include/cuda_runtime.h"

namespace emulator {

// Small numbers, so that grids are larger than the device.
constexpr int kMultiprocessors = 2, kBlocksPerMultiprocessor = 4;

// Kinds of calls of the runtime, which are counted.
enum class Deed { launch, wait, copy, allocation, kinds };
void count(Deed);

void run_grid(dim3 grid_dim, dim3 block_dim, bool is_cooperative, const std::function<void()>& device_thread);

}  // namespace emulator
