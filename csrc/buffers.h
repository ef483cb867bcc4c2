// The nouns of a push: where it works, with which constants, and what it reports. Plain data, host and
// device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hd.h"

namespace hogwild {

// The flat buffers of one push, each [n]; a pointer the rule has no use for is null.
template <class T>
struct Buffers {
  T* x;         // master weights, shared
  T* snapshot;  // x as this worker last saw it, its own
  T* v;         // momentum, shared or the worker's own
  T* s;         // running mean of squared update directions (gap penalty), shared
};

// The buffers from element `offset` on.
template <class T>
HW_HD Buffers<T> slice(const Buffers<void>& all, int64_t offset) {
  return {all.x == nullptr ? nullptr : static_cast<T*>(all.x) + offset,
          all.snapshot == nullptr ? nullptr : static_cast<T*>(all.snapshot) + offset,
          all.v == nullptr ? nullptr : static_cast<T*>(all.v) + offset,
          all.s == nullptr ? nullptr : static_cast<T*>(all.s) + offset};
}

// The scalars of one push, folded on the host (rule.h) so that the loop divides by none of them.
template <class T>
struct Hyper {
  T lr;
  T weight_decay;
  T momentum;
  T damp;       // 1 - dampening; 1 on an undampened first step
  T gap_decay;  // Gamma
  T gap_rest;   // 1 - Gamma
  T gap_scale;  // lr_max / sqrt(1 - Gamma^t); 0 on a push that is not penalised at all
  T gap_floor;  // lr_max eps; then beyond any gap

  template <class U>
  HW_HD Hyper<U> as() const {
    return {U(lr),        U(weight_decay), U(momentum),  U(damp),
            U(gap_decay), U(gap_rest),     U(gap_scale), U(gap_floor)};
  }
};

// One parameter tensor's place in the flat buffers. What lies between segments is padding and never touched.
struct Segment {
  int64_t offset;
  int64_t numel;
};

struct PushStats {
  bool applied = true;    // false: Guard.PUSH refused it, nothing was written
  int64_t nonfinite = 0;  // gradient elements that were NaN or infinite
  double gap_sq = 0;      // sum (x - snapshot)^2, before the push
  double step_sq = 0;     // sum (lr * direction)^2
  int64_t recovered = 0;  // stripe locks whose last holder had died
};

}  // namespace hogwild
