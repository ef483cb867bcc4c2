// Slot 1 of a push: weight decay, on the current master weights. Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

// wd x, in two parts: one is penalised with the gradient, the other is not. One of them is zero.
struct WeightDecay {
  template <class T>
  HW_HD static T term(T x, const Hyper<T>& h) {
    return h.weight_decay * x;
  }

  template <class T>
  HW_HD static T free_term(T x, const Hyper<T>& h) {
    return h.free_decay * x;
  }
};

}  // namespace hogwild
