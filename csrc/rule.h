// The run-time description of a push: stages, constants, buffers. Host only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "buffers.h"
#include "stages/gap_state.h"
#include "stages/guard.h"
#include "stages/momenta.h"

namespace hogwild {

struct RobustMutex;

enum class Dtype { float32, bfloat16, float64 };
enum class CompensationKind { none, constant, adaptive };
enum class PenaltyKind { none, gap, gap_of_steps, norm_gap, sized_gap };
enum class Unit { v, g, step };
#define HOGWILD_NAME(name, Stage) name,
enum class MomentumKind { HOGWILD_MOMENTA(HOGWILD_NAME) };
#undef HOGWILD_NAME
enum class AccessKind { racing, atomic, striped };
enum class GuardKind { push, element };

struct Rule {
#define HOGWILD_FIELD(type, name, value) type name = value;
  HOGWILD_RULE(HOGWILD_FIELD)
#undef HOGWILD_FIELD

  // Whether G or C is per segment or global, and kept in gap_state.
  bool has_rows() const { return penalty == PenaltyKind::norm_gap || penalty == PenaltyKind::sized_gap; }
  // Whether the push needs norms before it begins.
  bool has_first_pass() const { return penalty == PenaltyKind::norm_gap && !gap_lagged; }
};

// The data that stays the same from one push to the next. Segments ascend and do not overlap.
struct PushPlan {
  Rule rule;
  Buffers<void> buffers;
  std::vector<Segment> segments;
  GapState* gap_state = nullptr;
  RobustMutex* stripes = nullptr;
  int64_t n_stripes = 0;

  size_t gap_rows() const { return rule.gap_per_segment ? segments.size() : 1; }
  size_t gap_row(size_t segment) const { return rule.gap_per_segment ? segment : 0; }
  // Whether a parameter has a learning rate or a weight decay of its own.
  bool has_groups() const {
    return std::any_of(segments.begin(), segments.end(), [](const Segment& s) { return s.lr != 1 || s.decay != 1; });
  }
};

// The data that changes. `grads` holds one pointer per segment, null for a parameter without a gradient.
struct PushCall {
  std::vector<const void*> grads;
  Dtype gradient = Dtype::float32;
  uintptr_t stream = 0;
#define HOGWILD_REQUIRED(type, name) type name = 0;
#define HOGWILD_FIELD(type, name, value) type name = value;
  HOGWILD_CALL(HOGWILD_REQUIRED, HOGWILD_FIELD)
#undef HOGWILD_FIELD
#undef HOGWILD_REQUIRED
};

// A choice by the name it has in Python; std::invalid_argument for any other.
template <class Kind>
Kind named(std::string_view name);
template <>
Dtype named(std::string_view name);
template <>
CompensationKind named(std::string_view name);
template <>
PenaltyKind named(std::string_view name);
template <>
Unit named(std::string_view name);
template <>
MomentumKind named(std::string_view name);
template <>
AccessKind named(std::string_view name);
template <>
GuardKind named(std::string_view name);

// The buffers of a rule's momentum; and of all its stages, which may do without a snapshot.
unsigned momentum_buffers(const Rule& rule);
unsigned buffers_of(const Rule& rule, bool has_snapshot);

// The scalars of a push, precomputed once for all its elements.
Hyper<double> fold(const Rule& rule, const PushCall& call);
GapStateRule fold_gap_state(const Rule& rule, const PushCall& call);

// Whether this push is the one of N that updates SMEGA2's v.
bool flushes(const Rule& rule, const PushCall& call);

// Elements of this push that have a gradient.
int64_t elements_with_gradient(const PushPlan& plan, const PushCall& call);

}  // namespace hogwild
