// What a gap penalty knows of a whole segment (a "layer"), or of all of them: gap_state. Host and device.
#pragma once

#include <cmath>

#include "../hd.h"

namespace hogwild {

// A row of gap_state. Shared rows race; they are statistics.
struct GapState {
  double mean_sq;  // running mean of ||u||^2, or of what one element has of it
  double weight;   // of the samples in it: 1 - Gamma^t
  double gap_sq;   // ||x - snapshot||^2 at the latest push
};

struct GapStateRule {
  double decay;      // Gamma
  double reference;  // lr_max, or 1 where u is a step
  double eps;
  bool counts_zero;  // u is v, whose first value, zero, is in the mean too

  // Nothing has moved yet, or nothing is to be penalised.
  HW_HD bool is_idle(const GapState& state) const { return !(state.mean_sq > 0) || !(reference > 0); }

  // sqrt(mean ||u||^2 / (1 - Gamma^t)). ||u||^2 is what the observe slots of earlier pushes summed up: of v that is v
  // before this gradient, as in the element-wise form; of g it is the gradient before this one.
  HW_HD double size(const GapState& state) const {
    const double weight = counts_zero ? decay * state.weight + (1 - decay) : state.weight;
    return ::sqrt(state.mean_sq / weight);
  }

  HW_HD void settle(GapState& state, double gap_sq, double size_sq) const {
    state.mean_sq = decay * state.mean_sq + (1 - decay) * size_sq;
    state.weight = decay * state.weight + (1 - decay);
    state.gap_sq = gap_sq;
  }
};

}  // namespace hogwild
