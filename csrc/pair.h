// The element operation of a pair average: moves two replicas towards each other and keeps their sum. Host and device;
// pure.
#pragma once

#include <cstdint>

#include "hd.h"

namespace hogwild {

//   flux = weight (b - a);   a <- a + flux;   b <- b - flux               weight 1/2: both become the mean
// Both sides use one flux, so exchanging a and b changes no bit of the result.
struct PairAverage {
  template <class T>
  HW_HD static T flux(T a, T b, T weight) {
    return weight * (b - a);
  }
};

// The counts of one pair average.
struct PairStats {
  int64_t averaged = 0;
  int64_t skipped = 0;    // skipped, because another worker held a lock
  int64_t recovered = 0;  // locks with a dead holder
};

}  // namespace hogwild
