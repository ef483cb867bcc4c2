// The CPU's loops of the 8-bit wire between boxes: a block stays in the first cache between its two passes. They contain
// vectors and blocks but no equation. Included by kernels.cpp only, as loop.h is.
#pragma once

#include "../wire.h"

namespace hogwild::cpu::HW_ISA {

// One block: n <= kWireBlock elements of x and own into n codes. Returns its scale. x is read once, because others write
// it meanwhile.
inline float encode_block(const float* x, float* own, int8_t* codes, int64_t n) {
  float d[kWireBlock];
  int32_t magnitude = 0;
#pragma omp simd reduction(max : magnitude)
  for (int64_t i = 0; i < n; ++i) {
    d[i] = x[i] - own[i];
    const int32_t here = wire_magnitude(d[i]);
    magnitude = here > magnitude ? here : magnitude;
  }
  const WireScale at(magnitude);
  const bool is_sent = at.factor != 0;  // else the codes are 0: 0 d need not be, if d is not finite
  for (int64_t i = is_sent ? n : 0; i < kWireBlock; ++i) codes[i] = 0;
#pragma omp simd
  for (int64_t i = 0; i < (is_sent ? n : 0); ++i) codes[i] = WireCode::of(d[i], at.factor);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) own[i] = wire_decoded(own[i], codes[i], at.scale);
  return at.scale;
}

inline void wire_encode_loop(const WireEncodeCall& call) {
  auto* const scales = static_cast<float*>(call.packet);
  auto* const codes = reinterpret_cast<int8_t*>(scales + wire_blocks(call.n));
  for (int64_t begin = 0; begin < call.n; begin += kWireBlock) {
    const int64_t size = call.n - begin < kWireBlock ? call.n - begin : kWireBlock;
    scales[begin / kWireBlock] = encode_block(call.x + begin, call.own + begin, codes + begin, size);
  }
}

// Returns the number of elements of the flux that are not finite.
inline int64_t wire_decode_loop(const WireDecodeCall& call) {
  const auto* const scales = static_cast<const float*>(call.packet);
  const auto* const codes = reinterpret_cast<const int8_t*>(scales + wire_blocks(call.n));
  int64_t nonfinite = 0;
  for (int64_t begin = 0; begin < call.n; begin += kWireBlock) {
    const int64_t size = call.n - begin < kWireBlock ? call.n - begin : kWireBlock;
    const float scale = scales[begin / kWireBlock];
    const int8_t* const code = codes + begin;
    const float* const own = call.own + begin;
    float *const peer = call.peer + begin, *const flux = call.flux + begin;
    int32_t here = 0;
#pragma omp simd reduction(+ : here)
    for (int64_t i = 0; i < size; ++i) {
      const float known = wire_decoded(peer[i], code[i], scale);
      peer[i] = known;
      flux[i] = wire_flux(known, own[i]);
      here += !hw_isfinite(flux[i]);
    }
    nonfinite += here;
  }
  return nonfinite;
}

}  // namespace hogwild::cpu::HW_ISA
