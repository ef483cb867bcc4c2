// A push as it is described at run time: which stages, which constants, which buffers. Host only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "buffers.h"
#include "stages/gap_state.h"
#include "stages/guard.h"

namespace hogwild {

struct RobustMutex;

enum class Dtype { float32, bfloat16, float64 };
enum class CompensationKind { none, constant, adaptive };
enum class PenaltyKind { none, gap, gap_of_steps, norm_gap, sized_gap };
enum class Unit { v, g, step };
enum class MomentumKind { none, heavy_ball, nesterov, dana, smega2, ormo };
enum class AccessKind { racing, atomic, striped };
enum class GuardKind { push, element };

struct Rule {
  Dtype master = Dtype::float32;
  CompensationKind compensation = CompensationKind::none;
  PenaltyKind penalty = PenaltyKind::none;
  MomentumKind momentum_kind = MomentumKind::none;
  AccessKind access = AccessKind::racing;
  GuardKind guard = GuardKind::push;
  double momentum = 0, dampening = 0;
  bool torch_first_step = false;
  int64_t workers = 1;
  double gap_decay = 0, gap_eps = 0;
  bool penalize_decay = false;
  bool gap_per_segment = false;  // a row of gap_state for each, or one for all
  bool gap_lagged = false;       // a norm gap is that of the push before
  Unit unit = Unit::v;
  double lam = 0, ms_decay = 0, ms_eps = 0;
  bool power_one = false;
  bool elastic = false;     // exchanges with the center
  bool cooperative = true;  // CUDA: a gap of whole segments in one launch, where the model is small enough

  // G or C per segment or for all, from gap_state.
  bool has_rows() const { return penalty == PenaltyKind::norm_gap || penalty == PenaltyKind::sized_gap; }
  // Norms that must be there before the push begins.
  bool has_first_pass() const { return penalty == PenaltyKind::norm_gap && !gap_lagged; }
};

// What stays the same from one push to the next. Segments ascend and do not overlap.
struct PushPlan {
  Rule rule;
  Buffers<void> buffers;
  std::vector<Segment> segments;
  GapState* gap_state = nullptr;
  RobustMutex* stripes = nullptr;
  int64_t n_stripes = 0;

  size_t gap_rows() const { return rule.gap_per_segment ? segments.size() : 1; }
  size_t gap_row(size_t segment) const { return rule.gap_per_segment ? segment : 0; }
};

// What changes. `grads` holds one pointer per segment, null where a parameter has no gradient. Only elements of the
// flat range [start, stop) are touched. `pushes` counts the pushes before this one, `delay` those since the snapshot.
struct PushCall {
  std::vector<const void*> grads;
  Dtype gradient = Dtype::float32;
  double lr = 0, weight_decay = 0, lr_max = 0;
  int64_t pushes = 0;
  bool first_step = false;
  double scale = 1, clip = 0;
  int64_t delay = 0;
  double ahead_v = 0, ahead_b = 0;
  double alpha = 0;
  int64_t start = 0, stop = INT64_MAX;
  uintptr_t stream = 0;
};

// The choices by the names they have in Python; std::invalid_argument for any other.
Dtype dtype_named(std::string_view name);
CompensationKind compensation_named(std::string_view name);
PenaltyKind penalty_named(std::string_view name);
Unit unit_named(std::string_view name);
MomentumKind momentum_named(std::string_view name);
AccessKind access_named(std::string_view name);
GuardKind guard_named(std::string_view name);

// The scalars of a push, folded once for all its elements.
Hyper<double> fold(const Rule& rule, const PushCall& call);
GapStateRule fold_gap_state(const Rule& rule, const PushCall& call);

// Whether this push is the one of N that updates SMEGA2's v.
bool flushes(const Rule& rule, const PushCall& call);

// Elements of this push that have a gradient.
int64_t elements_with_gradient(const PushPlan& plan, const PushCall& call);

}  // namespace hogwild
