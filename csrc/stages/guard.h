// Before the slots of a push: may this gradient element be applied? Host and device; pure.
#pragma once

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

}  // namespace hogwild
