// Before the slots of a push: decides whether a gradient element is applied, and with which factor. Host and device;
// pure.
#pragma once

#include <cmath>

#include "../hd.h"

namespace hogwild {

// A NaN or an infinity is counted and has no other effect.
struct FiniteOnly {
  static constexpr bool may_refuse = true;

  template <class T>
  HW_HD static bool applies(T g) {
    return hw_isfinite(g);
  }
};

// The caller has already checked every gradient.
struct KnownFinite {
  static constexpr bool may_refuse = false;

  template <class T>
  HW_HD static bool applies(T) {
    return true;
  }
};

// The factor of a gradient with ||g||^2 = `grad_sq`: scale, reduced if |scale| ||g|| exceeds clip > 0.
HW_HD double clipped(double scale, double clip, double grad_sq) {
  const double norm = ::fabs(scale) * ::sqrt(grad_sq);
  return clip > 0 && norm > clip ? scale * (clip / norm) : scale;
}

}  // namespace hogwild
