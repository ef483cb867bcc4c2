// The element of a pair average: two replicas approach each other, and their sum stays. Host and device; pure.
#pragma once

#include <cstdint>

#include "hd.h"

namespace hogwild {

//   flux = weight (b - a);   a <- a + flux;   b <- b - flux               weight 1/2: both become the mean
// One flux for both sides, so exchanging a and b changes no bit of the result.
struct PairAverage {
  template <class T>
  HW_HD static T flux(T a, T b, T weight) {
    return weight * (b - a);
  }
};

// What became of the chunks of one pair average.
struct PairStats {
  int64_t averaged = 0;
  int64_t skipped = 0;    // another worker was there
  int64_t recovered = 0;  // locks whose last holder had died
};

}  // namespace hogwild
