// Exchanges and diffusions over flat buffers in one CUDA device's memory, enqueued on a stream. Defined by exchange.cu,
// or by absent.cpp where the build has no nvcc.
#pragma once

#include "../calls.h"

namespace hogwild::cuda {

void exchange(const ExchangeCall& call);
void diffuse(const DiffusionCall& call);

}  // namespace hogwild::cuda
