// One store of the widest vector past the caches, where the instruction set has such stores. Host only.
#pragma once

#ifdef __SSE2__
#include <immintrin.h>

namespace hogwild::cpu::HW_ISA {

#if defined(__AVX512F__)
using Line = __m512i;
inline void stream_line(void* out, const void* in) {
  _mm512_stream_si512(static_cast<Line*>(out), _mm512_loadu_si512(in));
}
#elif defined(__AVX__)
using Line = __m256i;
inline void stream_line(void* out, const void* in) {
  _mm256_stream_si256(static_cast<Line*>(out), _mm256_loadu_si256(static_cast<const Line*>(in)));
}
#else
using Line = __m128i;
inline void stream_line(void* out, const void* in) {
  _mm_stream_si128(static_cast<Line*>(out), _mm_loadu_si128(static_cast<const Line*>(in)));
}
#endif

}  // namespace hogwild::cpu::HW_ISA
#endif
