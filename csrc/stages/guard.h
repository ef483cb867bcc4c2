// Before the slots of a push: may this gradient element be applied, and how much of it? Host and device; pure.
#pragma once

#include <cmath>

#include "../hd.h"

namespace hogwild {

// A NaN or an infinity changes nothing and is counted.
struct FiniteOnly {
  static constexpr bool may_refuse = true;

  template <class T>
  HW_HD static bool applies(T g) {
    return hw_isfinite(g);
  }
};

// The caller has looked at every gradient already.
struct KnownFinite {
  static constexpr bool may_refuse = false;

  template <class T>
  HW_HD static bool applies(T) {
    return true;
  }
};

// The factor of a gradient whose squares sum up to `grad_sq`: scale, and less where |scale| ||g|| exceeds clip > 0.
HW_HD double clipped(double scale, double clip, double grad_sq) {
  const double norm = ::fabs(scale) * ::sqrt(grad_sq);
  return clip > 0 && norm > clip ? scale * (clip / norm) : scale;
}

}  // namespace hogwild
