// What streams ask of grids.
#pragma once

#include "include/cuda_runtime.h"

namespace emulator {

void run_grid(dim3 grid_dim, dim3 block_dim, bool is_cooperative, const std::function<void()>& device_thread);

}  // namespace emulator
