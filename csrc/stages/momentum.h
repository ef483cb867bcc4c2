// Slot 4 of a push: momentum. Host and device. Whether v is shared (heavy ball) or a worker's own (shifted momentum) is
// the caller's choice of buffer; the arithmetic is the same.
#pragma once

#include "../access.h"
#include "../buffers.h"

namespace hogwild {

// The momentum buffers of one element, as this push found them and then as it left them.
template <class T>
struct Motion {
  T v = 0, v_sum = 0, b = 0;
};

// v <- m v + damp d, as an object that an access policy can apply again to a newer v. `applied` false keeps v.
template <class T>
struct NextVelocity {
  T d, momentum, damp;
  bool applied;

  HW_HD T operator()(T v) const { return hw_select(applied, momentum * v + damp * d, v); }
};

// Every stage: advance(buffers, i, motion, d, applied, hyper) changes element i of its buffers and returns the step to
// subtract from x. `applied` false, where a gradient is held back, changes nothing; a stage that flushes owes all
// elements its bookkeeping and takes d = 0 for such an element instead.
struct PlainMomentum {
  static constexpr bool uses_v = true, uses_v_sum = false, uses_b = false, own_v = false, flushes = false;
};

// x <- x - lr d
struct NoMomentum {
  static constexpr bool uses_v = false, uses_v_sum = false, uses_b = false, own_v = false, flushes = false;

  template <class Access, class T>
  HW_HD static T advance(const Buffers<T>&, int64_t, Motion<T>&, T d, bool, const Hyper<T>& h) {
    return h.lr * d;
  }
};

// v <- m v + damp d;  x <- x - lr v
struct HeavyBallMomentum : PlainMomentum {
  template <class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    now.v = Access::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    return h.lr * now.v;
  }
};

// v <- m v + damp d;  x <- x - lr (d + m v)
struct NesterovMomentum : PlainMomentum {
  template <class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    now.v = Access::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    return h.lr * (d + h.momentum * now.v);
  }
};

// DANA-Zero (Hakimi et al. 2019, arXiv:1907.11612): v is the worker's own, v_sum the sum of all workers'.
//   v' = m v + d;   x <- x - lr v';   v_sum <- v_sum + (v' - v);   v <- v'
// v_sum accumulates differences: an update that is lost there is never made good.
struct DanaMomentum {
  static constexpr bool uses_v = true, uses_v_sum = true, uses_b = false, own_v = true, flushes = false;

  template <class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    const T before = now.v;
    now.v = Racing::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    now.v_sum = Access::add(at.v_sum + i, now.v_sum, now.v - before);
    return h.lr * now.v;
  }
};

// SMEGA2 (Cohen, Hakimi, Schuster 2022): one v for all N workers, updated every N pushes (kFlush) from the sum b.
//   b <- b + d;   x <- x - lr (d + m v)
//   flush:   v <- m v + b / N;   b <- 0                  damp = 1 / N
template <bool kFlush>
struct Smega2Momentum {
  static constexpr bool uses_v = true, uses_v_sum = false, uses_b = true, own_v = false, flushes = true;

  template <class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool, const Hyper<T>& h) {
    const T step = h.lr * (d + h.momentum * now.v);
    if constexpr (kFlush) {
      const T sum = Access::exchange(at.b + i, now.b, T(0)) + d;
      now.b = 0;
      now.v = Access::update(at.v + i, now.v, NextVelocity<T>{sum, h.momentum, h.damp, true});
    } else {
      now.b = Access::add(at.b + i, now.b, d);
    }
    return step;
  }
};

// OrMo (Shi et al. 2024, arXiv:2407.19234): v holds u, with the learning rate inside; l buckets have begun since the
// gradient's snapshot.
//   a bucket begins:   x <- x - m u;   u <- m u
//   u <- u + m^l lr d;   x <- x - (1 - m^(l+1)) / (1 - m) lr d
// Folded on the host into u' = momentum u + damp d and x <- x - (drain u + direct d).
struct OrMoMomentum {
  static constexpr bool uses_v = true, uses_v_sum = false, uses_b = false, own_v = false, flushes = true;

  template <class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool, const Hyper<T>& h) {
    T u = now.v;
    now.v = Access::update(at.v + i, u, NextVelocity<T>{d, h.momentum, h.damp, true});
    return h.drain * u + h.direct * d;
  }
};

}  // namespace hogwild
