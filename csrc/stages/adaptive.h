// Slot 4 of a push: adaptive rules. They divide a gradient by the root of q, a running mean or a sum of squared
// gradients, so that a constant factor of the gradient has no effect: what reduces a stale gradient (slot 3) acts on
// their step instead. Host and device. docs/adaptive.md has the equations, the counts and what races cost.
#pragma once

#include <cmath>

#include "momentum.h"

namespace hogwild {

// q <- decay q + rest d^2, as a function object like NextVelocity.
template <class T>
struct NextSquare {
  T d, decay, rest;
  bool applied;

  HW_HD T operator()(T q) const { return hw_select(applied, decay * q + rest * (d * d), q); }
};

// 1 - beta^samples: the weight of all samples together in a running mean that began at zero.
inline double weight_of(double beta, int64_t samples) { return 1 - std::pow(beta, static_cast<double>(samples)); }

// The number of pushes into a buffer before this one.
inline int64_t pushes_into(int64_t own, int64_t shared) { return own < 0 ? shared : own; }

struct AdaptiveStage : MomentumStage {
  static constexpr bool scales_step = true;

  template <class Rule, class Call>
  static void fold_decay(const Rule& rule, const Call& call, Hyper<double>& h) {
    h.decoupled = rule.decoupled ? call.lr * call.weight_decay : 0;
    h.weight_decay = rule.decoupled ? 0 : call.weight_decay;
    h.free_decay = 0;
  }

  // The q that this worker wrote: it contains its own d^2, whatever others write meanwhile, which bounds the step.
  template <class Access, class T>
  HW_HD static T root(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    now.q = Access::update(at.q + i, now.q, NextSquare<T>{d, h.q_decay, h.q_rest, applied});
    return hw_sqrt(now.q + h.q_inside) + h.q_eps;
  }
};

// snapshot <- x - lr b1 (v_sum / bc1) / (sqrt(q / bc2) + eps)
struct AdamDanaLookAhead {
  static constexpr unsigned uses = buffer::snapshot | buffer::v_sum | buffer::q;

  template <class T>
  HW_HD static T apply(T x, const Motion<T>& now, const Hyper<T>& h) {
    return x - h.ahead.v_sum * now.v_sum / (hw_sqrt(now.q) + h.q_eps);
  }
};

// Adam and AdamW (Kingma and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101):
//   v <- b1 v + (1 - b1) d;   q <- b2 q + (1 - b2) d^2
//   x <- x - lr (v / bc1) / (sqrt(q / bc2) + eps)     bc1 = 1 - b1^(pushes into v), bc2 = 1 - b2^(pushes into q)
// Precomputed for the step lr v / (sqrt(q) + q_eps): lr sqrt(bc2) / bc1, and eps sqrt(bc2).
// kAhead: b1 v + (1 - b1) d in place of v, with the sum of its weights, 1 - b1^(pushes into v + 1), in place of bc1.
template <bool kAhead>
struct AdamMomentum : AdaptiveStage {
  static constexpr unsigned uses = buffer::v | buffer::q;
  using Exchange = std::conditional_t<kAhead, NoExchange, ElasticExchange>;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    fold_decay(rule, call, h);
    h.momentum = rule.beta1;
    h.damp = 1 - rule.beta1;
    h.q_decay = rule.beta2;
    h.q_rest = 1 - rule.beta2;
    const double root = std::sqrt(weight_of(rule.beta2, pushes_into(call.q_pushes, call.pushes) + 1));
    h.lr = call.lr * root / weight_of(rule.beta1, pushes_into(call.v_pushes, call.pushes) + (kAhead ? 2 : 1));
    h.q_eps = rule.eps * root;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    now.v = VAccess::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    const T along = kAhead ? h.momentum * now.v + h.damp * d : now.v;
    return h.lr * along / root<Access>(at, i, now, d, applied, h);
  }
};

// The same with DANA's look-ahead: v is the worker's own, v_sum the sum of all workers' v.
struct AdamDanaMomentum : AdamMomentum<false> {
  static constexpr unsigned uses = buffer::v | buffer::v_sum | buffer::q, own = buffer::v;
  using LookAhead = AdamDanaLookAhead;
  using Exchange = NoExchange;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    AdamMomentum<false>::fold(rule, call, h);
    h.ahead.v_sum = rule.beta1 * h.lr;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    const T before = now.v;
    now.v = VAccess::update(at.v + i, now.v, NextVelocity<T>{d, h.momentum, h.damp, applied});
    now.v_sum = Access::add(at.v_sum + i, now.v_sum, now.v - before);
    return h.lr * now.v / root<Access>(at, i, now, d, applied, h);
  }
};

// RMSprop (Tieleman and Hinton 2012) and Adagrad (Duchi, Hazan, Singer 2011), without bias correction:
//   q <- q_decay q + q_rest d^2;   x <- x - lr d / (sqrt(q) + eps), or lr d / sqrt(q + eps)
struct ScaledGradient : AdaptiveStage {
  static constexpr unsigned uses = buffer::q;
  using Exchange = ElasticExchange;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    fold_decay(rule, call, h);
    h.q_decay = rule.beta2;
    h.q_rest = rule.q_rest;
    (rule.eps_inside ? h.q_inside : h.q_eps) = rule.eps;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    return h.lr * d / root<Access>(at, i, now, d, applied, h);
  }
};

// Lion (Chen et al. 2023, arXiv:2302.06675):
//   c = b1 v + (1 - b1) d;   v <- b2 v + (1 - b2) d;   x <- x - lr sign(c)
// c is made from the v before its update: under an atomic access, from the one that the update replaced.
struct LionMomentum : AdaptiveStage {
  static constexpr unsigned uses = buffer::v;
  using Exchange = ElasticExchange;

  template <class Rule, class Call>
  static void fold(const Rule& rule, const Call& call, Hyper<double>& h) {
    fold_decay(rule, call, h);
    h.momentum = rule.beta2;
    h.damp = 1 - rule.beta2;
    h.drain = rule.beta1;
    h.direct = 1 - rule.beta1;
  }

  template <class VAccess, class Access, class T>
  HW_HD static T advance(const Buffers<T>& at, int64_t i, Motion<T>& now, T d, bool applied, const Hyper<T>& h) {
    T before = now.v;
    now.v = VAccess::update(at.v + i, before, NextVelocity<T>{d, h.momentum, h.damp, applied});
    const T c = h.drain * before + h.direct * d;
    return h.lr * hw_select(c > T(0), T(1), hw_select(c < T(0), T(-1), T(0)));
  }
};

}  // namespace hogwild
