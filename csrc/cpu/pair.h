// The average of two replicas in host memory, chunk by chunk under the locks of both. Host only.
#pragma once

#include "../calls.h"

namespace hogwild::cpu {

PairStats pair_average(const PairCall& call);

}  // namespace hogwild::cpu
