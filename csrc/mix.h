// The element of an average: out = sum_j w_j in_j, one term at a time. Host and device; pure.
#pragma once

#include "hd.h"

namespace hogwild {

struct WeightedSum {
  template <class T>
  HW_HD static T term(T sum, T weight, T input) {
    return sum + weight * input;
  }
};

}  // namespace hogwild
