// A rule's names and its scalars. Host only.
#include "rule.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

#include "calls.h"
#include "dispatch.h"
#include "stages/penalty.h"

namespace hogwild {
namespace {

template <class Kind>
Kind find(std::string_view name, std::initializer_list<std::pair<const char*, Kind>> kinds) {
  std::string known;
  for (const auto& [text, kind] : kinds) {
    if (name == text) return kind;
    known += std::string(" ") + text;
  }
  throw std::invalid_argument("'" + std::string(name) + "' is none of" + known);
}

double power(double base, int64_t exponent) { return std::pow(base, static_cast<double>(exponent)); }

void fold_gap(const Rule& rule, const PushCall& call, Hyper<double>& h) {
  const bool of_step = rule.unit == Unit::step;
  const int64_t samples = of_step ? call.pushes : call.pushes + 1;
  const double reference = of_step ? 1.0 : call.lr_max;
  const bool skip = call.pushes == 0 || !(call.lr_max > 0);
  h.gap_decay = rule.gap_decay;
  h.gap_rest = 1.0 - rule.gap_decay;
  h.gap_scale = skip ? 0.0 : reference / std::sqrt(1.0 - power(rule.gap_decay, samples));
  h.gap_floor = skip ? kBeyondAnyGap : reference * rule.gap_eps;
}

}  // namespace

template <>
Dtype named(std::string_view name) {
  return find<Dtype>(name, {{"float32", Dtype::float32}, {"bfloat16", Dtype::bfloat16}, {"float64", Dtype::float64}});
}

template <>
CompensationKind named(std::string_view name) {
  return find<CompensationKind>(name, {{"none", CompensationKind::none},
                                       {"constant", CompensationKind::constant},
                                       {"adaptive", CompensationKind::adaptive}});
}

template <>
PenaltyKind named(std::string_view name) {
  return find<PenaltyKind>(name, {{"none", PenaltyKind::none},
                                  {"gap", PenaltyKind::gap},
                                  {"gap_of_steps", PenaltyKind::gap_of_steps},
                                  {"norm_gap", PenaltyKind::norm_gap},
                                  {"sized_gap", PenaltyKind::sized_gap}});
}

template <>
Unit named(std::string_view name) {
  return find<Unit>(name, {{"v", Unit::v}, {"g", Unit::g}, {"step", Unit::step}});
}

template <>
MomentumKind named(std::string_view name) {
#define HOGWILD_PAIR(kind, Stage) {#kind, MomentumKind::kind},
  return find<MomentumKind>(name, {HOGWILD_MOMENTA(HOGWILD_PAIR)});
#undef HOGWILD_PAIR
}

// A push under the one lock may run as a racing one: its caller holds the lock, so there is no concurrent push.
template <>
AccessKind named(std::string_view name) {
  return find<AccessKind>(name, {{"racing", AccessKind::racing},
                                 {"atomic", AccessKind::atomic},
                                 {"striped", AccessKind::striped},
                                 {"locked", AccessKind::racing}});
}

template <>
GuardKind named(std::string_view name) {
  return find<GuardKind>(name, {{"push", GuardKind::push}, {"element", GuardKind::element}});
}

template <>
ExchangeKind named(std::string_view name) {
  return find<ExchangeKind>(name, {{"elastic", ExchangeKind::elastic},
                                   {"deliver", ExchangeKind::deliver},
                                   {"admm", ExchangeKind::admm},
                                   {"send", ExchangeKind::send},
                                   {"drain", ExchangeKind::drain},
                                   {"blend", ExchangeKind::blend}});
}

unsigned momentum_buffers(const Rule& rule) {
  return with_momentum(rule.momentum_kind, [](auto stage) { return decltype(stage)::type::uses; });
}

unsigned buffers_of(const Rule& rule, bool has_snapshot) {
  const bool corrects = rule.penalty != PenaltyKind::none || rule.compensation != CompensationKind::none;
  return with_stages<KnownFinite>(rule, has_snapshot || corrects, false,
                                  [](auto stages) { return decltype(stages)::type::uses; });
}

Hyper<double> fold(const Rule& rule, const PushCall& call) {
  Hyper<double> h;
  h.lr = call.lr;
  const bool penalised = rule.penalty == PenaltyKind::none || rule.penalize_decay;
  (penalised ? h.weight_decay : h.free_decay) = call.weight_decay;
  h.scale = call.scale;
  h.lam = rule.lam;
  h.ms_decay = rule.ms_decay;
  h.ms_rest = 1.0 - rule.ms_decay;
  h.ms_eps = rule.ms_eps;
  h.power_one = rule.power_one;
  h.unit_g = rule.unit == Unit::g;
  h.ahead = call.ahead;
  h.alpha = call.alpha;
  if (rule.penalty != PenaltyKind::none) fold_gap(rule, call, h);
  with_momentum(rule.momentum_kind, [&](auto stage) { decltype(stage)::type::fold(rule, call, h); });
  return h;
}

GapStateRule fold_gap_state(const Rule& rule, const PushCall& call) {
  GapStateRule gap;
  gap.decay = rule.gap_decay;
  gap.reference = rule.unit == Unit::step ? 1.0 : call.lr_max;
  gap.eps = rule.gap_eps;
  gap.counts_zero = rule.unit == Unit::v && (momentum_buffers(rule) & buffer::v) != 0;
  return gap;
}

bool flushes(const Rule& rule, const PushCall& call) { return (call.pushes + 1) % rule.workers == 0; }

int64_t elements_with_gradient(const PushPlan& plan, const PushCall& call) {
  int64_t elements = 0;
  for (size_t k = 0; k < plan.segments.size(); ++k) {
    const Segment& segment = plan.segments[k];
    const int64_t begin = std::max(segment.offset, call.start);
    const int64_t end = std::min(segment.offset + segment.numel, call.stop);
    if (call.grads[k] != nullptr && begin < end) elements += end - begin;
  }
  return elements;
}

}  // namespace hogwild
