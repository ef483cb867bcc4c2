// Slot 2 of a push: what a stale gradient is worth. Host and device; pure.
#pragma once

#include "../buffers.h"

namespace hogwild {

// d = g + wd x
struct NoPenalty {
  static constexpr bool uses_s = false;

  template <class T>
  HW_HD static T apply(T g, T decay, T /*gap*/, T /*s*/, const Hyper<T>&) {
    return g + decay;
  }
};

// Gap-Aware, element-wise (Barkai, Hakimi, Schuster 2020, arXiv:1909.10802):
//   s <- Gamma s + (1 - Gamma) u^2                     u: the momentum before this gradient, or g where there
//   is none C = lr_max (sqrt(s / (1 - Gamma^t)) + eps)         a typical step of this element G = 1 + |x -
//   snapshot| / C d = (g + wd x) / G,  or  g / G + wd x  when the weight decay is not penalised
// The scalars are folded beforehand into C = gap_scale sqrt(s) + gap_floor, and 1 / G = C / (C + |x -
// snapshot|) takes one division; a gap of zero gives 1 exactly. While s is 0 the gap counts as zero: C would
// be lr_max eps, and any other gap would silence the gradient.
template <bool kPenalizeDecay>
struct GapPenalty {
  static constexpr bool uses_s = true;

  template <class T>
  HW_HD static T average(T s, T u, const Hyper<T>& h) {
    return h.gap_decay * s + h.gap_rest * (u * u);
  }

  template <class T>
  HW_HD static T apply(T g, T decay, T gap, T s, const Hyper<T>& h) {
    const T c = h.gap_scale * hw_sqrt(s) + h.gap_floor;
    const T share = c / (c + hw_select(s == T(0), T(0), hw_abs(gap)));
    return kPenalizeDecay ? share * (g + decay) : share * g + decay;
  }
};

}  // namespace hogwild
