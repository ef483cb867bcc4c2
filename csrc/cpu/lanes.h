// One vector register of doubles, of the width of the instruction set, and the loads of elements into it. Host only.
// Vectors are passed by reference, because the convention for passing them by value depends on the instruction set.
#pragma once

#include "../numeric.h"

namespace hogwild::cpu::HW_ISA {

#if defined(__AVX512F__)
constexpr int kWidth = 8;
#elif defined(__AVX__)
constexpr int kWidth = 4;
#else
constexpr int kWidth = 2;
#endif

template <class E>
using Vector __attribute__((vector_size(kWidth * sizeof(E)))) = E;
using Doubles = Vector<double>;

HW_HD void load(Doubles& out, const double* p) { memcpy(&out, p, sizeof out); }

HW_HD void load(Doubles& out, const float* p) {
  Vector<float> floats;
  memcpy(&floats, p, sizeof floats);
  out = __builtin_convertvector(floats, Doubles);
}

HW_HD void load(Doubles& out, const bfloat16* p) {
  Vector<uint16_t> halves;
  memcpy(&halves, p, sizeof halves);
  const Vector<uint32_t> words = __builtin_convertvector(halves, Vector<uint32_t>) << 16;
  Vector<float> floats;
  memcpy(&floats, &words, sizeof floats);
  out = __builtin_convertvector(floats, Doubles);
}

HW_HD void store(double* p, const Doubles& value) { memcpy(p, &value, sizeof value); }

}  // namespace hogwild::cpu::HW_ISA
