// Slot 3 of a push: reduces a gradient by its staleness. Host and device; pure.
#pragma once

#include "../buffers.h"
#include "gap_state.h"

namespace hogwild {

// d = g + wd x;   decay = wd x, free = 0
struct NoPenalty {
  static constexpr unsigned uses = buffer::none;
  static constexpr bool uses_rows = false, averages_step = false, chooses_u = false;
  static constexpr bool per_element = false;

  template <class T>
  HW_HD static T apply(T g, T decay, T /*free*/, T /*share*/) {
    return g + decay;
  }
};

// d = (g + decay) / G + free:  decay = wd x, or free = wd x when the weight decay is not penalised.   share = 1 / G
struct Penalised {
  static constexpr unsigned uses = buffer::none;
  static constexpr bool uses_rows = false, averages_step = false, chooses_u = true;
  static constexpr bool per_element = true;  // G

  template <class T>
  HW_HD static T apply(T g, T decay, T free, T share) {
    return share * (g + decay) + free;
  }
};

// Gap-Aware, element-wise (Barkai, Hakimi, Schuster 2020, arXiv:1909.10802):
//   s <- Gamma s + (1 - Gamma) u^2               u: the momentum before this gradient, or g where there is none
//   C = lr_max (sqrt(s / (1 - Gamma^t)) + eps)   a typical step of this element
//   G = 1 + |x - snapshot| / C
// The scalars are precomputed for C = gap_scale sqrt(s) + gap_floor, so that 1 / G = C / (C + |x - snapshot|) needs one
// division; a gap of zero gives exactly 1. While s is 0 the gap counts as zero: C would be lr_max eps, and any other
// gap would reduce the gradient to almost zero.
struct GapPenalty : Penalised {
  static constexpr unsigned uses = buffer::s;
  static constexpr bool chooses_u = false;

  template <class T>
  HW_HD static T apply(T g, T decay, T /*free*/, T share) {
    return share * (g + decay);
  }

  template <class T>
  HW_HD static T average(T s, T u, const Hyper<T>& h) {
    return h.gap_decay * s + h.gap_rest * (u * u);
  }

  template <class T>
  HW_HD static T share(T gap, T s, const Hyper<T>& h) {
    const T c = h.gap_scale * hw_sqrt(s) + h.gap_floor;
    return c / (c + hw_select(s == T(0), T(0), hw_abs(gap)));
  }
};

// The same with options that the published form does not have: g for u although there is momentum, and weight decay
// that is not penalised. It is a separate type because a branch in the loop costs 10 % of the time.
struct GapPenaltyWithChoices : GapPenalty {
  static constexpr bool chooses_u = true;
  using Penalised::apply;
};

// Here s averages the steps: it is updated last, and C = sqrt(s / (1 - Gamma^(t-1))) + eps.
struct GapPenaltyOfSteps : GapPenalty {
  static constexpr bool averages_step = true;
  using Penalised::apply;
};

// Larger than any realistic gap, and still a float; adding one does not change it.
constexpr double kBeyondAnyGap = 1e38;

// One G for a whole segment, or for all segments: the layer form of Gap-Aware, which its paper only describes in words.
//   G = 1 + ||x - snapshot|| / C,   C = lr_max sqrt(mean ||u||^2 / (1 - Gamma^t))
struct NormGapPenalty : Penalised {
  static constexpr bool uses_rows = true, per_element = false;

  // 1 / G, made before the push.
  HW_HD static double row(const GapState& state, double gap_sq, const GapStateRule& rule) {
    if (rule.is_idle(state)) return 1;
    const double c = rule.reference * rule.size(state);
    return c / (c + ::sqrt(gap_sq));
  }
};

// A G for every element, but one C for a whole segment, or for all segments: no s, and no first pass. This form is
// ours.
//   G = 1 + |x - snapshot| / C,   C = lr_max (sqrt(mean ||u||^2 / n / (1 - Gamma^t)) + eps)
struct SizedGapPenalty : Penalised {
  static constexpr bool uses_rows = true;

  // C, made before the push.
  HW_HD static double row(const GapState& state, double /*gap_sq*/, const GapStateRule& rule) {
    return rule.is_idle(state) ? kBeyondAnyGap : rule.reference * (rule.size(state) + rule.eps);
  }

  template <class T>
  HW_HD static T share(T gap, T /*s*/, const Hyper<T>& h) {
    return h.gap_row / (h.gap_row + hw_abs(gap));
  }
};

}  // namespace hogwild
