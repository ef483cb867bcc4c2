// Slot 5 of a push: the exchange between a replica and the center. Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

struct NoExchange {
  static constexpr unsigned uses = buffer::none;
};

// Elastic averaging (Zhang, Choromanska, LeCun 2015, arXiv:1412.6651, Alg. 1), both sides computed from the old values:
//   drawn = alpha (x - center);   x <- x - step - drawn;   center <- center + drawn
struct ElasticExchange {
  static constexpr unsigned uses = buffer::center;

  template <class T>
  HW_HD static T gap(T x, T center, const Motion<T>&, const Hyper<T>&) {
    return x - center;
  }

  template <class T>
  HW_HD static T drawn(T gap, const Hyper<T>& h) {
    return h.alpha * gap;
  }
};

// The same under Nesterov's momentum (Alg. 2), where x holds the look-ahead point at which gradients are taken: the
// worker itself is at x + lr m v, with the v before this push.
struct ElasticExchangeBehind : ElasticExchange {
  static constexpr unsigned uses = buffer::center | buffer::v;

  template <class T>
  HW_HD static T gap(T x, T center, const Motion<T>& now, const Hyper<T>& h) {
    return x + h.lr * h.momentum * now.v - center;
  }
};

}  // namespace hogwild
