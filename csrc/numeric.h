// Storage types, and how they become arithmetic. Host and device. No stage ever sees a storage type.
#pragma once

#include <cstring>

#include "hd.h"

namespace hogwild {

// The upper half of a float's bits; only ever read. An enumeration, for a loop over a struct does not vectorise.
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

}  // namespace hogwild
