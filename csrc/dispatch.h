// Maps choices made at run time to types; no other file does. Host only.
#pragma once

#include <stdexcept>

#include "access.h"
#include "calls.h"
#include "mix.h"
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
  throw std::invalid_argument("gradients are float32 or bfloat16 for a float32 master, float64 for a float64 one");
}

// f(Type<Compensation>{}, Type<Penalty>{}): at most one of the two, because a compensated gradient is no longer stale.
template <class F>
auto with_correction(const Rule& rule, const F& f) {
  if (rule.compensation == CompensationKind::constant) return f(Type<DelayCompensation<false>>{}, Type<NoPenalty>{});
  if (rule.compensation == CompensationKind::adaptive) return f(Type<DelayCompensation<true>>{}, Type<NoPenalty>{});
  if (rule.penalty == PenaltyKind::gap && rule.penalize_decay && rule.unit == Unit::v)
    return f(Type<NoCompensation>{}, Type<GapPenalty>{});
  if (rule.penalty == PenaltyKind::gap) return f(Type<NoCompensation>{}, Type<GapPenaltyWithChoices>{});
  if (rule.penalty == PenaltyKind::gap_of_steps) return f(Type<NoCompensation>{}, Type<GapPenaltyOfSteps>{});
  if (rule.penalty == PenaltyKind::norm_gap) return f(Type<NoCompensation>{}, Type<NormGapPenalty>{});
  if (rule.penalty == PenaltyKind::sized_gap) return f(Type<NoCompensation>{}, Type<SizedGapPenalty>{});
  return f(Type<NoCompensation>{}, Type<NoPenalty>{});
}

// f(Type<Penalty>{}) for a momentum that scales its step: penalties in units of the step alone.
template <class F>
auto with_penalty_of_step(const Rule& rule, const F& f) {
  if (rule.penalty == PenaltyKind::gap_of_steps) return f(Type<GapPenaltyOfSteps>{});
  if (rule.penalty == PenaltyKind::sized_gap) return f(Type<SizedGapPenalty>{});
  return f(Type<NoPenalty>{});
}

// f(Type<Momentum>{}).
template <class F>
auto with_momentum(MomentumKind kind, const F& f) {
  switch (kind) {
#define HOGWILD_CASE(name, Stage) \
  case MomentumKind::name:        \
    return f(Type<Stage>{});
    HOGWILD_MOMENTA(HOGWILD_CASE)
#undef HOGWILD_CASE
  }
  throw std::invalid_argument("no such momentum");
}

// f(Type<Push<...>>{}) for the stages of a rule under a guard. Corrections need a snapshot, and go with every momentum
// that neither flushes nor stands alone: 8 x 4, or 3 x 5 for adaptive rules; 5 for SMEGA2, OrMo, tables and averages,
// 8 without a snapshot, 6 with a center, 66 in all.
template <class Guard, class F>
auto with_stages(const Rule& rule, bool has_snapshot, bool flush, const F& f) {
  using None = NoCompensation;
  return with_momentum(rule.momentum_kind, [&](auto momentum) {
    using M = typename decltype(momentum)::type;
    using Ahead = typename M::LookAhead;
    using Exchange = typename M::Exchange;
    constexpr bool goes_with_center = Exchange::uses != buffer::none;
    constexpr bool goes_without_snapshot = !M::flushes && Ahead::uses == buffer::snapshot;
    if constexpr (goes_with_center)
      if (rule.elastic) return f(Type<Push<Guard, None, NoPenalty, M, NoSnapshot, Exchange>>{});
    if constexpr (goes_without_snapshot)
      if (!has_snapshot) return f(Type<Push<Guard, None, NoPenalty, M, NoSnapshot>>{});
    if constexpr (M::flushes) {
      if constexpr (!std::is_void_v<typename M::OnFlush>)
        if (flush) return f(Type<Push<Guard, None, NoPenalty, typename M::OnFlush, Ahead>>{});
      return f(Type<Push<Guard, None, NoPenalty, M, Ahead>>{});
    } else if constexpr (M::stands_alone) {
      return f(Type<Push<Guard, None, NoPenalty, M, Ahead>>{});
    } else if constexpr (M::scales_step) {
      return with_penalty_of_step(rule, [&](auto penalty) {
        using P = typename decltype(penalty)::type;
        return f(Type<Push<Guard, None, P, M, Ahead>>{});
      });
    } else {
      return with_correction(rule, [&](auto compensation, auto penalty) {
        using C = typename decltype(compensation)::type;
        using P = typename decltype(penalty)::type;
        return f(Type<Push<Guard, C, P, M, Ahead>>{});
      });
    }
  });
}

// f(Type<Stages>{}), or its form for a v that has no other writer, which only atomic access treats differently.
template <class Stages, class F>
auto with_own_v(const Rule& rule, const F& f) {
  if constexpr (!std::is_same_v<typename Stages::OwnV, Stages>)
    if (rule.own_v) return f(Type<typename Stages::OwnV>{});
  return f(Type<Stages>{});
}

// f(Type<Idle>{}) for parameters without gradient: Push::Idle. Under a momentum that flushes there are no such
// parameters.
template <class F>
auto with_idle(const Rule& rule, const F& f) {
  return with_momentum(rule.momentum_kind, [&](auto momentum) {
    using M = typename decltype(momentum)::type;
    if constexpr (M::Exchange::uses != buffer::none)
      if (rule.elastic) return f(Type<ExchangeOnly<typename M::Exchange>>{});
    return f(Type<Refresh<typename M::LookAhead>>{});
  });
}

// f(Type<Exchange>{}, Type<Access>{}). A striped or locked exchange runs as a racing one: it races only with operations
// that do not take its locks.
template <class F>
auto with_exchange(ExchangeKind kind, AccessKind access, const F& f) {
  const auto with_access = [&](auto exchange) {
    return access == AccessKind::atomic ? f(exchange, Type<Atomic>{}) : f(exchange, Type<Racing>{});
  };
  switch (kind) {
    case ExchangeKind::elastic:
      return with_access(Type<Elastic>{});
    case ExchangeKind::deliver:
      return with_access(Type<Deliver>{});
    case ExchangeKind::admm:
      return with_access(Type<Admm>{});
    case ExchangeKind::send:
      return with_access(Type<Send>{});
    case ExchangeKind::drain:
      return with_access(Type<Drain>{});
    default:
      return with_access(Type<Blend>{});
  }
}

}  // namespace hogwild
