// Slot 1 of a push: weight decay, on the current master weights. Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

// wd * x
struct WeightDecay {
  template <class T>
  HW_HD static T term(T x, const Hyper<T>& h) {
    return h.weight_decay * x;
  }
};

}  // namespace hogwild
