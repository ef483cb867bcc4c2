// One element through the slots of a push: decay -> penalty -> momentum -> apply -> observe -> look-ahead.
// Host and device; the one place where their order is written. Loops (cpu/, cuda/) call it and know no
// equation.
#pragma once

#include "access.h"
#include "stages/decay.h"
#include "stages/guard.h"
#include "stages/lookahead.h"
#include "stages/momentum.h"
#include "stages/penalty.h"

namespace hogwild {

// What the observe slot saw of one element.
template <class T>
struct Observed {
  T gap;        // x - snapshot, before
  T step;       // what was subtracted from x
  T nonfinite;  // 1 if the gradient was NaN or infinite, else 0
};

template <class Guard, class Penalty, class Momentum, class LookAhead>
struct Push {
  static_assert(LookAhead::uses_snapshot || !Penalty::uses_s, "the gap penalty needs a snapshot");
  static constexpr bool may_be_nonfinite = Guard::may_refuse;
  static constexpr bool uses_snapshot = LookAhead::uses_snapshot;
  static constexpr bool uses_v = Momentum::uses_v;
  static constexpr bool uses_s = Penalty::uses_s;

  // Reads and writes element i of the buffers in `at`. A g that the guard holds back changes nothing but
  // the snapshot. XAccess and VAccess say how x and v meet other writers; s is a statistic and always races.
  template <class XAccess, class VAccess, class T>
  HW_HD static Observed<T> element(const Buffers<T>& at, int64_t i, T g, const Hyper<T>& h) {
    const bool applied = Guard::applies(g);
    const T x = XAccess::load(at.x + i);
    T gap = 0, u = g, v = 0, s = 0;
    if constexpr (LookAhead::uses_snapshot) gap = x - at.snapshot[i];
    if constexpr (Momentum::uses_v) u = v = VAccess::load(at.v + i);

    const T decay = WeightDecay::term(x, h);

    if constexpr (Penalty::uses_s) {
      const T before = at.s[i];
      s = Penalty::average(before, u, h);
      at.s[i] = hw_select(applied, s, before);
    }
    const T d = Penalty::apply(g, decay, gap, s, h);

    T direction = d;
    if constexpr (Momentum::uses_v) {
      v = VAccess::update(at.v + i, v, NextVelocity<T>{d, h.momentum, h.damp, applied});
      direction = Momentum::direction(d, v, h);
    }

    const T step = hw_select(applied, h.lr * direction, T(0));
    const T after = XAccess::add(at.x + i, x, -step);

    const Observed<T> seen{gap, step, hw_select(applied, T(0), T(1))};

    if constexpr (LookAhead::uses_snapshot) at.snapshot[i] = LookAhead::apply(after, h);
    return seen;
  }
};

}  // namespace hogwild
