// Takes the two locks of every chunk and calls the loop on it. Host only.
#include "pair.h"

#include <algorithm>

#include "../robust_mutex.h"
#include "kernels.h"

namespace hogwild::cpu {
namespace {

// Both locks of one chunk for a scope, the one at the lower address first. All lock sets of a run are in one block of
// shared memory, so every process uses the same order, and waiting for the second lock cannot deadlock.
class PairLock {
 public:
  PairLock(const PairLocks& locks, int64_t chunk, PairStats& stats)
      : first_(std::min(locks.a, locks.b)[chunk % locks.count]),
        second_(std::max(locks.a, locks.b)[chunk % locks.count]) {
    if (!acquire(first_, locks.waits, stats)) return;
    held_ = acquire(second_, locks.waits, stats);
    if (!held_) first_.unlock();
  }
  ~PairLock() {
    if (!held_) return;
    second_.unlock();
    first_.unlock();
  }
  PairLock(const PairLock&) = delete;
  PairLock& operator=(const PairLock&) = delete;

  bool held() const { return held_; }

 private:
  static bool acquire(RobustMutex& mutex, bool waits, PairStats& stats) {
    const auto outcome =
        waits ? mutex.lock() ? RobustMutex::Outcome::recovered : RobustMutex::Outcome::held : mutex.try_lock();
    stats.recovered += outcome == RobustMutex::Outcome::recovered;
    return outcome != RobustMutex::Outcome::busy;
  }

  RobustMutex &first_, &second_;
  bool held_ = false;
};

}  // namespace

PairStats pair_average(Dtype dtype, void* a, void* b, double weight, const PairLocks& locks, int64_t start,
                       int64_t stop) {
  PairStats stats;
  for (int64_t begin = start, end; begin < stop; begin = end) {
    const int64_t chunk = begin / kStripe;
    end = std::min(stop, (chunk + 1) * kStripe);
    const PairLock lock(locks, chunk, stats);
    if (lock.held()) kernels().pair_average(dtype, a, b, weight, begin, end - begin);
    ++(lock.held() ? stats.averaged : stats.skipped);
  }
  return stats;
}

}  // namespace hogwild::cpu
