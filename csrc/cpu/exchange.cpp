// Calls the loops on a range, stripe by stripe if there are locks to take. Host only.
#include "exchange.h"

#include <algorithm>

#include "kernels.h"
#include "stripe_lock.h"

namespace hogwild::cpu {

int64_t exchange(const ExchangeCall& call) {
  Kernels::Exchange* const range = kernels().exchange(call.kind, call.access, call.dtype);
  const MixRates<double> rates = fold(call);
  if (call.n_stripes == 0) {
    range(call.buffers, call.start, call.stop - call.start, rates);
    return 0;
  }
  int64_t recovered = 0;
  StripeLock lock(call.stripes, call.n_stripes);
  for (int64_t begin = call.start, end; begin < call.stop; begin = end) {
    end = std::min(call.stop, (begin / kStripe + 1) * kStripe);
    recovered += lock.enter(begin);
    range(call.buffers, begin, end - begin, rates);
  }
  return recovered;
}

void diffuse(const DiffusionCall& call) {
  kernels().diffuse(call, call.neighbours.data(), call.weights.data(), static_cast<int64_t>(call.neighbours.size()));
}

}  // namespace hogwild::cpu
