// The average of two replicas in host memory, chunk by chunk under the locks of both. Host only.
#pragma once

#include "../pair.h"
#include "../rule.h"

namespace hogwild::cpu {

// The locks of a replica: chunk k of kStripe elements is guarded by lock k modulo `count`, as in a striped push.
struct PairLocks {
  RobustMutex *a, *b;
  int64_t count;
  bool waits;  // wait for a busy chunk; else skip it
};

PairStats pair_average(Dtype dtype, void* a, void* b, double weight, const PairLocks& locks, int64_t start,
                       int64_t stop);

}  // namespace hogwild::cpu
