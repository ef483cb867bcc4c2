// Sums in a fixed number of lanes: the same bits from every instruction set, whatever the width of its vectors. Host only.
// Vectors go by reference, for how they are passed by value depends on the instruction set.
#pragma once

#include "../numeric.h"

namespace hogwild::cpu {

constexpr int64_t kLanes = 8;
using Doubles = double __attribute__((vector_size(8 * kLanes)));

HW_HD void load(Doubles& out, const double* p) { memcpy(&out, p, sizeof out); }

HW_HD void load(Doubles& out, const float* p) {
  float __attribute__((vector_size(4 * kLanes))) floats;
  memcpy(&floats, p, sizeof floats);
  out = __builtin_convertvector(floats, Doubles);
}

HW_HD void load(Doubles& out, const bfloat16* p) {
  using Words = uint32_t __attribute__((vector_size(4 * kLanes)));
  uint16_t __attribute__((vector_size(2 * kLanes))) halves;
  memcpy(&halves, p, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  float __attribute__((vector_size(4 * kLanes))) floats;
  memcpy(&floats, &words, sizeof floats);
  out = __builtin_convertvector(floats, Doubles);
}

HW_HD void store(double* p, const Doubles& value) { memcpy(p, &value, sizeof value); }

HW_HD double add_up(const Doubles& lanes) {
  double sum = 0;
  for (int64_t k = 0; k < kLanes; ++k) sum += lanes[k];
  return sum;
}

}  // namespace hogwild::cpu
