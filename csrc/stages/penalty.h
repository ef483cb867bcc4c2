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
//   s <- Gamma s + (1 - Gamma) u^2                     u: the momentum before this gradient, or g where there is none
//   C = lr_max (sqrt(s / (1 - Gamma^t)) + eps)         a typical step of this element
//   G = 1 + |x - snapshot| / C
//   d = g / G + wd x / G                               or + wd x, undivided
// With q = C / (C + |x - snapshot|) = 1 / G one division serves both terms, and a gap of zero gives q = 1 exactly.
// No penalty on a skipped push, nor where s is 0: there C is lr_max * eps and any gap would silence the gradient.
struct GapPenalty {
  static constexpr bool uses_s = true;

  template <class T>
  HW_HD static T average(T s, T u, const Hyper<T>& h) {
    return h.gap_decay * s + h.gap_rest * (u * u);
  }

  template <class T>
  HW_HD static T apply(T g, T decay, T gap, T s, const Hyper<T>& h) {
    const T c = h.lr_max * (hw_sqrt(s * h.gap_unbias) + h.gap_eps);
    const T q = hw_select(h.gap_skip | (s == T(0)), T(1), c / (c + hw_abs(gap)));
    return q * g + hw_select(h.penalize_decay, q, T(1)) * decay;
  }
};

}  // namespace hogwild
