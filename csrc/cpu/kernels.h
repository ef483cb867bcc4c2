// The interface of one instruction-set variant of the CPU loops, with the element types erased. Host only.
#pragma once

#include <string>
#include <vector>

#include "../calls.h"

namespace hogwild {

struct NormForward;  // norm_call.h
struct NormBackward;
struct RowPlan;  // rows.h

}  // namespace hogwild

namespace hogwild::cpu {

// The largest number of elements in one call of a loop: 64 KiB of floats.
constexpr int64_t kPiece = 16384;
// The number of elements under one lock, in a striped push and in a pair average.
constexpr int64_t kStripe = 4096;

// The totals of pushes of several ranges.
struct Totals {
  double gap_sq = 0, step_sq = 0;
  double share = 0;    // sum of 1 / G
  double size_sq = 0;  // sum of squared sizes, for gap_state
  int64_t elements = 0, nonfinite = 0;
};

struct Scan {
  int64_t nonfinite = 0;
  double grad_sq = 0;
};

struct RowTask;  // rows.h

struct Kernels {
  const char* isa;
  // Elements [begin, begin + n) of the buffers and [0, n) of g; adds to the totals.
  using Push = void(const Buffers<void>&, int64_t begin, const void* g, int64_t n, const Hyper<double>&, Totals&);
  Push* (*push)(const Rule&, Dtype gradient, bool has_snapshot, bool flush);
  Push* (*idle)(const Rule&);  // without reading g
  double (*gap_sq)(Dtype, const Buffers<void>&, int64_t begin, int64_t n);
  void (*scan)(Dtype gradient, const void* g, int64_t n, Scan&);
  // out <- g, and the same count.
  void (*deposit)(Dtype gradient, void* out, const void* g, int64_t n, Scan&);
  void (*weighted_sum)(Dtype, void* out, const void* const* inputs, const double* weights, int64_t count,
                       int64_t offset, int64_t n);
  void (*copy)(Dtype, void* out, const void* in, int64_t n);
  // Elements [begin, begin + n) of the buffers.
  using Exchange = void(const MixBuffers<void>&, int64_t begin, int64_t n, const MixRates<double>&);
  Exchange* (*exchange)(ExchangeKind, AccessKind, Dtype);
  void (*diffuse)(const DiffusionCall&, const void* const* neighbours, const double* weights, int64_t count);
  void (*pair_average)(const PairCall&, int64_t begin, int64_t n);
  // `work`: 5 doubles per channel.
  void (*norm_forward)(const NormForward&, double* work);
  void (*norm_backward)(const NormBackward&, double* work);
  // Rows [begin, end) of a table's part of a sparse push; of the table itself, to catch up.
  using Rows = void(RowTask&, int64_t begin, int64_t end);
  Rows* (*rows)(const RowPlan&, Dtype gradient);
  Rows* (*row_catch_up)(const RowPlan&);
};

// The variant in use: the best one for this processor, or the one named by HOGWILD_ISA or use_isa().
const Kernels& kernels();
std::vector<std::string> available_isas();
void use_isa(const std::string& name);

}  // namespace hogwild::cpu
