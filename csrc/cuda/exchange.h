// Exchanges and diffusions over flat buffers in one CUDA device's memory, enqueued on a stream. Defined by exchange.cu,
// or by absent.cpp where the build has no nvcc.
#pragma once

#include "../exchange.h"

namespace hogwild::cuda {

void exchange(const ExchangeCall& call, int device, uintptr_t stream);
void diffuse(const DiffusionCall& call, int device, uintptr_t stream);

}  // namespace hogwild::cuda
