// gap_state: the data of a gap penalty for a whole segment (a "layer"), or for all segments. Host and device.
#pragma once

#include <cmath>

#include "../hd.h"

namespace hogwild {

// A row of gap_state. Shared rows race; they are statistics.
struct GapState {
  double mean_sq;  // running mean of ||u||^2, or of ||u||^2 per element
  double weight;   // weight of the samples in it: 1 - Gamma^t
  double gap_sq;   // ||x - snapshot||^2 at the latest push
};

struct GapStateRule {
  double decay;      // Gamma
  double reference;  // lr_max, or 1 where u is a step
  double eps;
  bool counts_zero;  // u is v; its first value, zero, is in the mean too

  // There was no step yet, or no penalty applies.
  HW_HD bool is_idle(const GapState& state) const { return !(state.mean_sq > 0) || !(reference > 0); }

  // sqrt(mean ||u||^2 / (1 - Gamma^t)). ||u||^2 was summed by the observe slots of earlier pushes: for u = v it is of v
  // before this gradient, as in the element-wise form; for u = g it is of the previous gradient.
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
