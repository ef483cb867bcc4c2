// Storage types and their conversion to arithmetic types. Host and device. Stages only use arithmetic types.
#pragma once

#include <cstring>

#include "hd.h"

namespace hogwild {

// The upper half of a float's bits. It is an enumeration because a loop over a struct does not vectorise.
enum class bfloat16 : uint16_t {};

template <class T>
HW_HD T widen(T a) {
  return a;
}

template <class T>
HW_HD T widen(bfloat16 a) {
  const uint32_t bits = static_cast<uint32_t>(a) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// a as a storage type: bfloat16 by rounding to nearest, ties to even.
template <class S, class T>
HW_HD S narrow(T a) {
  if constexpr (std::is_same_v<S, bfloat16>) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t mask = -static_cast<uint32_t>((bits & 0x7fffffffu) > 0x7f800000u);  // NaN
    return static_cast<bfloat16>((rounded & ~mask) | (0x7fc0u & mask));
  } else {
    return a;
  }
}

}  // namespace hogwild
