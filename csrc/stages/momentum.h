// Slot 4 of a push: momentum. Host and device. The caller's buffer decides whether v is shared (heavy ball) or a
// worker's own (shifted momentum, WithOwnV); the arithmetic is the same. A new stage is a struct and a line of momenta.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "../access.h"
#include "../buffers.h"
#include "exchange.h"
#include "lookahead.h"

namespace hogwild {

// v <- m v + damp d, as a function object that an access policy can apply again to a newer v. v is kept if `applied` is
// false.
template <class T>
struct NextVelocity {
  T d, momentum, damp;
  bool applied;

  HW_HD T operator()(T v) const { return hw_select(applied, momentum * v + damp * d, v); }
};

// The properties of a stage. Every stage also has
//   advance<VAccess, Access>(buffers, i, motion, d, applied, hyper)
// which changes element i of its buffers, v by VAccess and the others by Access, and returns the step to subtract from
// x. If `applied` is false, because the gradient was refused, it changes nothing; a stage that flushes uses d = 0 for
// such an element instead. `motion` holds element i of the buffers: on entry as read, on return as written by this push.
struct MomentumStage {
  static constexpr unsigned uses = buffer::v;    // its buffers
  static constexpr unsigned own = buffer::none;  // those of the worker itself, without other writers
  static constexpr bool flushes = false;         // must update all elements; goes with no correction
  static constexpr bool scales_step = false;     // a factor of the gradient has no effect: penalties act on the step
  static constexpr bool stands_alone = false;    // goes with no correction
  using OnFlush = void;                          // the stage used instead on every N-th push, if it differs
  using LookAhead = FreshSnapshot;               // its look-ahead; one that uses momentum needs a snapshot
  using Exchange = NoExchange;                   // its exchange with a center, if it allows one

  // Its scalars, from a rule's constants (rule.h) and a call's. Host only.
  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    h.momentum = rule.momentum;
    h.damp = call.first_step && rule.torch_first_step ? 1.0 : 1.0 - rule.dampening;
  }
};

// A stage whose v has no other writer: Push then gives it Racing for VAccess, whatever the access policy of the others.
template <class Momentum>
struct WithOwnV : Momentum {
  static constexpr unsigned own = Momentum::own | buffer::v;
};

// x <- x - lr d
struct NoMomentum : MomentumStage {
  static constexpr unsigned uses = buffer::none;
  using Exchange = ElasticExchange;

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>&, int64_t, Motion<T>&, T d, bool, const Hyper<T>& h) {
    return h.lr * d;
  }
};

// v <- m v + damp d;  x <- x - lr v
struct HeavyBallMomentum : MomentumStage {
  using Exchange = ElasticExchange;

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    now.v = VAccess::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    return h.lr * now.v;
  }
};

// v' = m v + damp d;  x <- x - lr (d + m v' + lead (v' - v));  v <- v'
// Undampened, that step is v' + (m + lead) (v' - v): Nesterov's momentum, with another factor of its look-ahead.
struct NesterovMomentum : MomentumStage {
  using Exchange = ElasticExchangeBehind;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    MomentumStage::fold(rule, call, h);
    h.direct = rule.lead;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    T before = now.v;
    now.v = VAccess::update(at.v + i, before, NextVelocity<T>{d, h.momentum, h.damp, applied});
    return h.lr * (d + h.momentum * now.v + h.direct * (now.v - before));
  }
};

// DANA-Zero (Hakimi et al. 2019, arXiv:1907.11612): v is the worker's own, v_sum the sum of all workers' v.
//   v' = m v + d;   x <- x - lr v';   v_sum <- v_sum + (v' - v);   v <- v'
// v_sum accumulates differences, so a lost update of it is never corrected.
struct DanaMomentum : MomentumStage {
  static constexpr unsigned uses = buffer::v | buffer::v_sum, own = buffer::v;
  using LookAhead = DanaLookAhead;

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    const T before = now.v;
    now.v = VAccess::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    now.v_sum = Access::add(at.v_sum + i, now.v_sum, now.v - before);
    return h.lr * now.v;
  }
};

// A table of gradients: v is the worker's own row, v_sum the sum of all rows, of which `workers` count.
//   v' = m v + (1 - m) d;   v_sum <- v_sum + (v' - v);   v <- v';   x <- x - lr (v_sum / workers + wd x)
// Weight decay is in the step, not in the rows. v_sum accumulates differences, as DANA's does.
struct TableMomentum : MomentumStage {
  static constexpr unsigned uses = buffer::v | buffer::v_sum, own = buffer::v;
  static constexpr bool scales_step = true, stands_alone = true;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    h.momentum = rule.momentum;
    h.damp = 1.0 - rule.momentum;
    h.direct = 1.0 / static_cast<double>(rule.workers);
    h.decoupled = call.lr * call.weight_decay;
    h.weight_decay = h.free_decay = 0;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    T before = now.v;
    now.v = VAccess::update(at.v + i, before, NextVelocity<T>{d, h.momentum, h.damp, applied});
    now.v_sum = Access::add(at.v_sum + i, now.v_sum, now.v - before);
    return h.lr * (h.direct * now.v_sum);
  }
};

// Primal averaging: x is the average, v = x - z its distance from the point that the gradients move, y where they are
// taken. z <- z - lr d and x <- m x + (1 - m) z become
//   x <- x - (1 - m) (v + lr d);   v <- m (v + lr d);   snapshot: y = x - (1 - beta1) v
struct PrimalAverage : MomentumStage {
  static constexpr bool stands_alone = true;
  using LookAhead = PrimalLookAhead;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call&, Hyper<double>& h) {
    h.momentum = h.damp = rule.momentum;
    h.drain = 1.0 - rule.momentum;
    h.direct = 1.0 - rule.beta1;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    const T moved = h.lr * d;
    T before = now.v;
    now.v = VAccess::update(at.v + i, before, NextVelocity<T>{moved, h.momentum, h.damp, applied});
    return h.drain * (before + moved);
  }
};

// SMEGA2 (Cohen, Hakimi, Schuster 2022): one v for all N workers, updated every N pushes (kFlush) from the sum b.
//   b <- b + d;   x <- x - lr (d + m v)
//   flush:   v <- m v + b / N;   b <- 0                  damp = 1 / N
template <bool kFlush>
struct Smega2Momentum : MomentumStage {
  static constexpr unsigned uses = buffer::v | buffer::b;
  static constexpr bool flushes = true;
  using OnFlush = Smega2Momentum<true>;
  using LookAhead = Smega2LookAhead;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call&, Hyper<double>& h) {
    h.momentum = rule.momentum;
    h.damp = 1.0 / static_cast<double>(rule.workers);
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool, const Hyper<T>& h) {
    const T step = h.lr * (d + h.momentum * now.v);
    if constexpr (kFlush) {
      const T sum = Access::exchange(at.b + i, now.b, T(0)) + d;
      now.b = 0;
      now.v = VAccess::update(at.v + i, now.v, NextVelocity<T>{sum, h.momentum, h.damp, true});
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
// Precomputed on the host as u' = momentum u + damp d and x <- x - (drain u + direct d).
struct OrMoMomentum : MomentumStage {
  static constexpr bool flushes = true;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    const double m = rule.momentum;
    const int64_t bucket = call.pushes / rule.workers;
    const int64_t late = bucket - std::max<int64_t>(0, call.pushes - call.delay) / rule.workers;
    const bool begins = call.pushes > 0 && call.pushes % rule.workers == 0;
    h.momentum = begins ? m : 1.0;
    h.drain = begins ? m : 0.0;
    h.damp = std::pow(m, static_cast<double>(late)) * call.lr;
    h.direct = (1.0 - std::pow(m, static_cast<double>(late + 1))) / (1.0 - m) * call.lr;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool, const Hyper<T>& h) {
    T u = now.v;
    now.v = VAccess::update(at.v + i, u, NextVelocity<T>{d, h.momentum, h.damp, true});
    return h.drain * u + h.direct * d;
  }
};

}  // namespace hogwild
