// Exchanges and diffusions over flat buffers in host memory. Host only.
#pragma once

#include "../calls.h"

namespace hogwild::cpu {

// Returns how many stripe locks had a holder that died.
int64_t exchange(const ExchangeCall& call);
void diffuse(const DiffusionCall& call);

}  // namespace hogwild::cpu
