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
  PairLock(const PairCall& call, int64_t chunk, PairStats& stats)
      : first_(std::min(call.locks_a, call.locks_b)[chunk % call.n_locks]),
        second_(std::max(call.locks_a, call.locks_b)[chunk % call.n_locks]) {
    if (!acquire(first_, call.waits, stats)) return;
    held_ = acquire(second_, call.waits, stats);
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

PairStats pair_average(const PairCall& call) {
  PairStats stats;
  for (int64_t begin = call.start, end; begin < call.stop; begin = end) {
    const int64_t chunk = begin / kStripe;
    end = std::min(call.stop, (chunk + 1) * kStripe);
    const PairLock lock(call, chunk, stats);
    if (lock.held()) kernels().pair_average(call, begin, end - begin);
    ++(lock.held() ? stats.averaged : stats.skipped);
  }
  return stats;
}

}  // namespace hogwild::cpu
