// The nouns of a push: where it works, with which constants, and what it reports. Plain data, host and device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "hd.h"

namespace hogwild {

// The flat buffers of one push, each [n]; a pointer the rule has no use for is null.
template <class T>
struct Buffers {
  T* x;         // master weights, shared
  T* snapshot;  // the weights this worker computes its gradient at, its own
  T* v;         // momentum, shared or the worker's own
  T* s;         // running mean of squared directions or steps (gap penalty), shared
  T* ms;        // running mean of squared gradients (adaptive compensation), the worker's own
  T* v_sum;     // sum of all workers' v (DANA), shared
  T* b;         // sum of gradients since v was last updated (SMEGA2), shared
  T* center;    // the variable that all replicas are tied to (elastic averaging), shared; x is then the worker's own
};

template <class T, class U>
HW_HD T* element_at(U* p, int64_t i) {
  return p == nullptr ? nullptr : static_cast<T*>(p) + i;
}

// The buffers from element `offset` on.
template <class T, class U>
HW_HD Buffers<T> slice(const Buffers<U>& all, int64_t offset) {
  return {element_at<T>(all.x, offset), element_at<T>(all.snapshot, offset), element_at<T>(all.v, offset),
          element_at<T>(all.s, offset), element_at<T>(all.ms, offset),       element_at<T>(all.v_sum, offset),
          element_at<T>(all.b, offset), element_at<T>(all.center, offset)};
}

// The scalars of one push, folded on the host (rule.h) so that the loop divides by none of them.
template <class T>
struct Hyper {
  T lr = 0;
  T weight_decay = 0;
  T free_decay = 0;  // weight decay that is not penalised
  T scale = 1;       // of the gradient, clipping included

  T lam = 0;               // of the compensation
  T ms_decay = 0;          // of its running mean
  T ms_rest = 0;           // 1 - ms_decay
  T ms_eps = 0;            // beside the running mean
  bool power_one = false;  // |g| in place of g^2

  T gap_decay = 0;      // Gamma
  T gap_rest = 0;       // 1 - Gamma
  T gap_scale = 0;      // C = gap_scale sqrt(s) + gap_floor; 0 on a push that is not penalised at all
  T gap_floor = 0;      // then beyond any gap
  T gap_row = 1;        // 1 / G, or C, where all elements of a segment have the same
  bool unit_g = false;  // the running size is that of g, not that of v

  T momentum = 0;  // of the old v
  T damp = 0;      // of what is added to it
  T drain = 0;     // OrMo: how much of the old u leaves with this push
  T direct = 0;    // OrMo: how much of d is applied at once

  T ahead_v = 0;  // snapshot <- x - ahead_v v_sum (DANA), x - ahead_v v - ahead_b b (SMEGA2)
  T ahead_b = 0;

  T alpha = 0;  // of the elastic exchange

  template <class U>
  HW_HD Hyper<U> as() const {
    return {U(lr),     U(weight_decay), U(free_decay), U(scale),     U(lam),       U(ms_decay), U(ms_rest), U(ms_eps),
            power_one, U(gap_decay),    U(gap_rest),   U(gap_scale), U(gap_floor), U(gap_row),  unit_g,     U(momentum),
            U(damp),   U(drain),        U(direct),     U(ahead_v),   U(ahead_b),   U(alpha)};
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
  double gap_sq = 0;      // sum (x - snapshot)^2, or of squared distances to the center, before the push
  double step_sq = 0;     // sum of squared steps; what an exchange moves is not in them
  double penalty = 1;     // harmonic mean of G: a gradient element counted 1 / penalty on average
  int64_t recovered = 0;  // stripe locks whose last holder had died
  // Of the scaled gradient, before clipping; NaN where it was not scanned.
  double grad_norm = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace hogwild
