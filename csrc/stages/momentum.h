// Slot 3 of a push: momentum. Host and device; pure. Whether v is shared (heavy ball) or a worker's own
// (shifted momentum) is the caller's choice of buffer; the arithmetic is the same.
#pragma once

#include "../buffers.h"

namespace hogwild {

// v <- m v + damp d, as an object that an access policy can apply again to a newer v. `applied` false keeps
// v.
template <class T>
struct NextVelocity {
  T d, momentum, damp;
  bool applied;

  HW_HD T operator()(T v) const { return hw_select(applied, momentum * v + damp * d, v); }
};

// direction = d
struct NoMomentum {
  static constexpr bool uses_v = false;
};

// direction = v
struct HeavyBallMomentum {
  static constexpr bool uses_v = true;

  template <class T>
  HW_HD static T direction(T /*d*/, T v, const Hyper<T>&) {
    return v;
  }
};

// direction = d + m v
struct NesterovMomentum {
  static constexpr bool uses_v = true;

  template <class T>
  HW_HD static T direction(T d, T v, const Hyper<T>& h) {
    return d + h.momentum * v;
  }
};

}  // namespace hogwild
