// A push as it is described at run time: which stages, which constants, which buffers. Host only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "buffers.h"

namespace hogwild {

struct RobustMutex;

enum class Dtype { float32, bfloat16, float64 };
enum class PenaltyKind { none, gap };
enum class MomentumKind { none, heavy_ball, nesterov };
enum class AccessKind { racing, atomic, striped };
enum class GuardKind { push, element };

struct Rule {
  Dtype master = Dtype::float32;
  PenaltyKind penalty = PenaltyKind::none;
  MomentumKind momentum_kind = MomentumKind::none;
  AccessKind access = AccessKind::racing;
  GuardKind guard = GuardKind::push;
  double momentum = 0, dampening = 0;
  bool torch_first_step = true;
  double gap_decay = 0, gap_eps = 0;
  bool penalize_decay = true;
};

// What stays the same from one push to the next. Segments ascend and do not overlap.
struct PushPlan {
  Rule rule;
  Buffers<void> buffers;
  std::vector<Segment> segments;
  RobustMutex* stripes = nullptr;
  int64_t n_stripes = 0;
};

// What changes. `grads` holds one pointer per segment, null where a parameter has no gradient. Only elements
// of the flat range [start, stop) are touched. `pushes` counts the pushes before this one.
struct PushCall {
  std::vector<const void*> grads;
  Dtype gradient = Dtype::float32;
  double lr = 0, weight_decay = 0, lr_max = 0;
  int64_t pushes = 0;
  bool first_step = false;
  int64_t start = 0, stop = INT64_MAX;
  uintptr_t stream = 0;
};

// The choices by the names they have in Python; std::invalid_argument for any other.
Dtype dtype_named(std::string_view name);
PenaltyKind penalty_named(std::string_view name);
MomentumKind momentum_named(std::string_view name);
AccessKind access_named(std::string_view name);
GuardKind guard_named(std::string_view name);

// The scalars of a push, folded once for all its elements.
Hyper<double> fold(const Rule& rule, const PushCall& call);

}  // namespace hogwild
