// From choices made at run time to types: the one place. Host only.
#pragma once

#include <stdexcept>

#include "access.h"
#include "numeric.h"
#include "push.h"
#include "rule.h"

namespace hogwild {

template <class T>
struct Type {
  using type = T;
};

// f(Type<T>{}) for the element type of a master, a replica or an input of an average.
template <class F>
auto with_master(Dtype dtype, const F& f) {
  if (dtype == Dtype::float32) return f(Type<float>{});
  if (dtype == Dtype::float64) return f(Type<double>{});
  throw std::invalid_argument("a master is float32 or float64");
}

// f(Type<T>{}, Type<G>{}) for a master of T and gradients of G.
template <class F>
auto with_gradient(Dtype master, Dtype gradient, const F& f) {
  if (master == Dtype::float64 && gradient == Dtype::float64) return f(Type<double>{}, Type<double>{});
  if (master == Dtype::float32 && gradient == Dtype::float32) return f(Type<float>{}, Type<float>{});
  if (master == Dtype::float32 && gradient == Dtype::bfloat16) return f(Type<float>{}, Type<bfloat16>{});
  throw std::invalid_argument(
      "gradients are float32 or bfloat16 for a float32 master, float64 for a float64 one");
}

// f(Type<Push<...>>{}) for the stages of a rule under a guard.
template <class Guard, class F>
auto with_stages(const Rule& rule, bool has_snapshot, const F& f) {
  const auto with_momentum = [&](auto penalty, auto lookahead) {
    using P = typename decltype(penalty)::type;
    using L = typename decltype(lookahead)::type;
    if (rule.momentum_kind == MomentumKind::heavy_ball)
      return f(Type<Push<Guard, P, HeavyBallMomentum, L>>{});
    if (rule.momentum_kind == MomentumKind::nesterov) return f(Type<Push<Guard, P, NesterovMomentum, L>>{});
    return f(Type<Push<Guard, P, NoMomentum, L>>{});
  };
  if (rule.penalty == PenaltyKind::gap && rule.penalize_decay)
    return with_momentum(Type<GapPenalty<true>>{}, Type<FreshSnapshot>{});
  if (rule.penalty == PenaltyKind::gap)
    return with_momentum(Type<GapPenalty<false>>{}, Type<FreshSnapshot>{});
  if (has_snapshot) return with_momentum(Type<NoPenalty>{}, Type<FreshSnapshot>{});
  return with_momentum(Type<NoPenalty>{}, Type<NoSnapshot>{});
}

}  // namespace hogwild
