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

// The same with a lag w = (y - x) / 2 beside each replica, y being the replica's momentum (acid):
//   each end first relaxes by its own time:   x <- x + rest w;   w <- w - rest w
//   then, with d = b - a:   a <- a + d / 2,  b <- b - d / 2;   w_a <- w_a + gain d,  w_b <- w_b - gain d
// The changes of one element; over the four buffers they sum to nothing.
template <class T>
struct PairChange {
  T a, b, lag_a, lag_b;

  HW_HD PairChange(T x, T y, T lag_x, T lag_y, T rest_a, T rest_b, T gain) {
    const T moved_a = rest_a * lag_x, moved_b = rest_b * lag_y;
    const T apart = (y + moved_b) - (x + moved_a);
    const T flux = T(0.5) * apart, kick = gain * apart;
    a = moved_a + flux;
    b = moved_b - flux;
    lag_a = kick - moved_a;
    lag_b = -kick - moved_b;
  }
};

// The counts of one pair average.
struct PairStats {
  int64_t averaged = 0;
  int64_t skipped = 0;    // skipped, because another worker held a lock
  int64_t recovered = 0;  // locks with a dead holder
};

}  // namespace hogwild
