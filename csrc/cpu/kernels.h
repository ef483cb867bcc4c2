// What one instruction-set variant of the CPU loops offers, with the element types erased. Host only.
#pragma once

#include <string>
#include <vector>

#include "../rule.h"

namespace hogwild::cpu {

// The most elements one call may visit, and the size of a stripe: 64 KiB of floats.
constexpr int64_t kStripe = 16384;

struct Kernels {
  const char* isa;
  // Elements [0, n) of the buffers and of g; adds to the statistics.
  using Push = void(const Buffers<void>&, const void* g, int64_t n, const Hyper<double>&, PushStats&);
  Push* (*push)(const Rule&, Dtype gradient, bool has_snapshot);
  void (*refresh)(Dtype, void* snapshot, const void* x, int64_t n, PushStats&);
  int64_t (*count_nonfinite)(Dtype gradient, const void* g, int64_t n);
  void (*weighted_sum)(Dtype, void* out, const void* const* inputs, const double* weights, int64_t count,
                       int64_t offset, int64_t n);
  void (*copy)(Dtype, void* out, const void* in, int64_t n);
};

// The variant in use: the best this processor has, or the one named by HOGWILD_ISA or use_isa().
const Kernels& kernels();
std::vector<std::string> available_isas();
void use_isa(const std::string& name);

}  // namespace hogwild::cpu
