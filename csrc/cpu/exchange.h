// Exchanges and diffusions over flat buffers in host memory. Host only.
#pragma once

#include "../calls.h"

namespace hogwild::cpu {

// Returns the number of stripe locks with a dead holder.
int64_t exchange(const ExchangeCall& call);
void diffuse(const DiffusionCall& call);

}  // namespace hogwild::cpu
