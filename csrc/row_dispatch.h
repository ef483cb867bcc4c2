// Maps the rule and the access of sparse pushes to types. Host only.
#pragma once

#include "dispatch.h"
#include "rows.h"

namespace hogwild {

// f(Type<Momentum>{}) for the stages of tables' rules. Row-wise Adagrad has none: its q gives a row's lr.
template <class F>
auto with_row_momentum(MomentumKind kind, const F& f) {
  switch (kind) {
    case MomentumKind::none:
      return f(Type<NoMomentum>{});
    case MomentumKind::heavy_ball:
      return f(Type<HeavyBallMomentum>{});
    case MomentumKind::scaled:
      return f(Type<ScaledGradient>{});
    case MomentumKind::adam:
      return f(Type<AdamMomentum<false>>{});
    default:
      throw std::invalid_argument("this momentum is not for tables");
  }
}

// f(Type<Push<...>>{}, Type<Access>{}) for the stages of a plan under a guard.
template <class Guard, class Access, class F>
auto with_row_stages(const RowPlan& plan, const F& f) {
  return with_row_momentum(plan.rule.momentum_kind, [&](auto momentum) {
    using M = typename decltype(momentum)::type;
    return f(Type<Push<Guard, NoCompensation, NoPenalty, M, NoSnapshot>>{}, Type<Access>{});
  });
}

}  // namespace hogwild
