// Slot 2 of a push: corrects the gradient, to first order, from the snapshot at which it was computed to the current x.
// Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

struct NoCompensation {
  static constexpr unsigned uses = buffer::none;

  template <class T>
  HW_HD static T apply(T g, T /*gap*/, T /*ms*/, const Hyper<T>&) {
    return g;
  }
};

// DC-ASGD (Zheng et al. 2017, arXiv:1609.08326), with gap = x - snapshot:
//   g <- g + lam g^2 gap                       |g| in place of g^2 with a power of one
// and adaptively
//   ms <- decay ms + (1 - decay) g^2
//   g <- g + lam / sqrt(ms + eps) g^2 gap
template <bool kAdaptive>
struct DelayCompensation {
  static constexpr unsigned uses = kAdaptive ? buffer::ms : buffer::none;

  template <class T>
  HW_HD static T average(T ms, T g, const Hyper<T>& h) {
    return h.ms_decay * ms + h.ms_rest * (g * g);
  }

  template <class T>
  HW_HD static T apply(T g, T gap, T ms, const Hyper<T>& h) {
    T strength = h.lam;
    if constexpr (kAdaptive) strength = h.lam / hw_sqrt(ms + h.ms_eps);
    return g + strength * hw_select(h.power_one, hw_abs(g), g * g) * gap;
  }
};

}  // namespace hogwild
