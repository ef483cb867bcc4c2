// Slot 8 of a push: the next snapshot of the worker. Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

// The worker keeps no snapshot (it reads the master in place), so there is no gap to measure and none to write.
struct NoSnapshot {
  static constexpr unsigned uses = buffer::none;
};

// snapshot <- x: the push is the next pull.
struct FreshSnapshot {
  static constexpr unsigned uses = buffer::snapshot;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>&, const Hyper<T>&) {
    return x;
  }
};

// snapshot <- x - lr m v_sum
struct DanaLookAhead {
  static constexpr unsigned uses = buffer::snapshot | buffer::v_sum;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>& now, const Hyper<T>& h) {
    return x - h.ahead.v_sum * now.v_sum;
  }
};

// snapshot <- x - direct v: as far from x as the rule says, whatever the learning rate is
struct PrimalLookAhead {
  static constexpr unsigned uses = buffer::snapshot | buffer::v;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>& now, const Hyper<T>& h) {
    return x - h.direct * now.v;
  }
};

// snapshot <- x - lr m ((N + c (m - 1)) v + (c / N) b),  or x - lr m N v (naive)
struct Smega2LookAhead {
  static constexpr unsigned uses = buffer::snapshot | buffer::v | buffer::b;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>& now, const Hyper<T>& h) {
    return x - (h.ahead.v * now.v + h.ahead.b * now.b);
  }
};

}  // namespace hogwild
