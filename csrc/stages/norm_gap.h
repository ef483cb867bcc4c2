// The gap penalty of a whole segment (level "layer") or of all of them ("global"). Host and device.
#pragma once

#include <cmath>

#include "../hd.h"

namespace hogwild {

// A row of gap_state: what is known of one segment, or of all. Shared rows race; they are statistics.
struct NormGapState {
  double mean_sq;  // running mean of ||u||^2
  double samples;  // in it
  double gap_sq;   // ||x - snapshot||^2 at the latest push
  double penalty;  // G of the latest push
};

struct NormGapRule {
  double decay;      // Gamma
  double reference;  // lr_max, or 1 where u is a step
  double unseen;     // 1 where u is v, whose first value, zero, is in the mean too; else 0
};

// The layer form of Gap-Aware, which its paper has in words only:
//   G = 1 + ||x - snapshot|| / C,   C = lr_max sqrt(mean ||u||^2 / (1 - Gamma^t))
// 1 while nothing has moved yet. ||u||^2 is what the observe slots of earlier pushes summed up: of v that is v before
// this gradient, as in the element-wise form; of g it is the gradient before this one.
HW_HD double norm_gap(const NormGapState& state, double gap_sq, const NormGapRule& rule) {
  if (!(state.mean_sq > 0) || !(rule.reference > 0)) return 1;
  const double unbias = 1 - ::pow(rule.decay, state.samples + rule.unseen);
  return 1 + ::sqrt(gap_sq) / (rule.reference * ::sqrt(state.mean_sq / unbias));
}

HW_HD void settle(NormGapState& state, double penalty, double gap_sq, double size_sq, const NormGapRule& rule) {
  state.mean_sq = rule.decay * state.mean_sq + (1 - rule.decay) * size_sq;
  state.samples += 1;
  state.gap_sq = gap_sq;
  state.penalty = penalty;
}

}  // namespace hogwild
