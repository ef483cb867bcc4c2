// The element operations of the 8-bit wire between boxes (hogwild/boxes/wire.py). Host and device; pure.
#pragma once

#include <cstdint>
#include <cstring>

#include "hd.h"

namespace hogwild {

// A packet: a float scale for each block of kBlock elements, then an int8 code for each element, padded to whole blocks.
constexpr int64_t kWireBlock = 1024;
constexpr float kWireLevels = 127;

HW_HD int64_t wire_blocks(int64_t n) { return (n + kWireBlock - 1) / kWireBlock; }
HW_HD int64_t wire_bytes(int64_t n) { return wire_blocks(n) * (static_cast<int64_t>(sizeof(float)) + kWireBlock); }

// |d| as an integer. These integers are ordered as the magnitudes are, with infinity and NaN above all others, so the
// largest of a block also says whether the block is finite, in whatever order it is found.
HW_HD int32_t wire_magnitude(float d) {
  int32_t bits;
  memcpy(&bits, &d, sizeof bits);
  return bits & 0x7fffffff;
}

// The scale of a block, from its largest magnitude m:   scale = m / 127,  factor = 127 / m.  Both are 0 if m is below
// 127 FLT_MIN: a smaller scale would not be a normal number, and such a difference can wait. A block that is not finite
// has scale NaN and factor 0.
struct WireScale {
  float scale = 0, factor = 0;

  HW_HD explicit WireScale(int32_t magnitude) {
    float largest;
    memcpy(&largest, &magnitude, sizeof largest);
    if (!hw_isfinite(largest)) {
      scale = NAN;
    } else if (largest >= kWireLevels * FLT_MIN) {
      scale = largest / kWireLevels;
      factor = kWireLevels / largest;
    }
  }
};

// code = rint(factor d), ties to even: with 1.5 x 2^23 added, the last bit of a float is worth 1. So the last byte of
// that float is the code.
struct WireCode {
  static constexpr float kUnit = 12582912;

  HW_HD static int8_t of(float d, float factor) {
    const float shifted = d * factor + kUnit;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return static_cast<int8_t>(bits);
  }
};

// What both ends know of a snapshot after a code:   h <- h + code scale
HW_HD float wire_decoded(float h, int8_t code, float scale) { return h + static_cast<float>(code) * scale; }

// Half the difference of two decoded snapshots. Exchanging the two changes only its sign.
HW_HD float wire_flux(float peer, float own) { return 0.5f * peer + -0.5f * own; }

}  // namespace hogwild
