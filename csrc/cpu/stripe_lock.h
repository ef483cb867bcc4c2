// Holds the lock of the current stripe. Host only.
#pragma once

#include "../robust_mutex.h"
#include "kernels.h"

namespace hogwild::cpu {

// Holds the lock of the stripe that was entered last, if there are locks. It holds only one at a time, so there is no
// deadlock.
class StripeLock {
 public:
  StripeLock(RobustMutex* stripes, int64_t n_stripes) : stripes_(stripes), n_stripes_(n_stripes) {}
  ~StripeLock() { leave(); }
  StripeLock(const StripeLock&) = delete;
  StripeLock& operator=(const StripeLock&) = delete;

  // True if the lock's last holder died while it held it.
  bool enter(int64_t element) {
    const int64_t stripe = element / kStripe;
    if (n_stripes_ == 0 || stripe == stripe_) return false;
    leave();
    RobustMutex& mutex = stripes_[stripe % n_stripes_];
    const bool recovered = mutex.lock();
    held_ = &mutex;
    stripe_ = stripe;
    return recovered;
  }

 private:
  void leave() {
    if (held_ != nullptr) held_->unlock();
    held_ = nullptr;
  }

  RobustMutex* stripes_;
  int64_t n_stripes_;
  RobustMutex* held_ = nullptr;
  int64_t stripe_ = -1;
};

}  // namespace hogwild::cpu
