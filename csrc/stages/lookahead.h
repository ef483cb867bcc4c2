// Slot 8 of a push: what the worker takes away with it. Host and device; pure.
#pragma once

#include "momentum.h"

namespace hogwild {

// The worker keeps no snapshot (it reads the master in place): no gap to measure, nothing to leave behind.
struct NoSnapshot {
  static constexpr bool uses_snapshot = false, uses_v_sum = false;
};

// snapshot <- x: the push is the next pull.
struct FreshSnapshot {
  static constexpr bool uses_snapshot = true, uses_v_sum = false;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>&, const Hyper<T>&) {
    return x;
  }
};

// snapshot <- x - lr m v_sum
struct DanaLookAhead {
  static constexpr bool uses_snapshot = true, uses_v_sum = true;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>& now, const Hyper<T>& h) {
    return x - h.ahead_v * now.v_sum;
  }
};

// snapshot <- x - lr m ((N + c (m - 1)) v + (c / N) b),  or x - lr m N v (naive)
struct Smega2LookAhead {
  static constexpr bool uses_snapshot = true, uses_v_sum = false;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>& now, const Hyper<T>& h) {
    return x - (h.ahead_v * now.v + h.ahead_b * now.b);
  }
};

}  // namespace hogwild
