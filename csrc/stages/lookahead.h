// Slot 6 of a push: what the worker takes away with it. Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

// The worker keeps no snapshot (it reads the master in place): no gap to measure, nothing to leave behind.
struct NoSnapshot {
  static constexpr bool uses_snapshot = false;
};

// snapshot <- x: the push is the next pull.
struct FreshSnapshot {
  static constexpr bool uses_snapshot = true;

  template <class T>
  HW_HD static T apply(T x, const Hyper<T>&) {
    return x;
  }
};

}  // namespace hogwild
