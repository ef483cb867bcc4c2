// A rule's names and its scalars. Host only.
#include "rule.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

#include "exchange.h"
#include "stages/penalty.h"

namespace hogwild {
namespace {

template <class Kind>
Kind named(std::string_view name, std::initializer_list<std::pair<const char*, Kind>> kinds) {
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

void fold_ormo(const Rule& rule, const PushCall& call, Hyper<double>& h) {
  const double m = rule.momentum;
  const int64_t bucket = call.pushes / rule.workers;
  const int64_t late = bucket - std::max<int64_t>(0, call.pushes - call.delay) / rule.workers;
  const bool begins = call.pushes > 0 && call.pushes % rule.workers == 0;
  h.momentum = begins ? m : 1.0;
  h.drain = begins ? m : 0.0;
  h.damp = power(m, late) * call.lr;
  h.direct = (1.0 - power(m, late + 1)) / (1.0 - m) * call.lr;
}

}  // namespace

Dtype dtype_named(std::string_view name) {
  return named<Dtype>(name, {{"float32", Dtype::float32}, {"bfloat16", Dtype::bfloat16}, {"float64", Dtype::float64}});
}

CompensationKind compensation_named(std::string_view name) {
  return named<CompensationKind>(name, {{"none", CompensationKind::none},
                                        {"constant", CompensationKind::constant},
                                        {"adaptive", CompensationKind::adaptive}});
}

PenaltyKind penalty_named(std::string_view name) {
  return named<PenaltyKind>(name, {{"none", PenaltyKind::none},
                                   {"gap", PenaltyKind::gap},
                                   {"gap_of_steps", PenaltyKind::gap_of_steps},
                                   {"norm_gap", PenaltyKind::norm_gap},
                                   {"sized_gap", PenaltyKind::sized_gap}});
}

Unit unit_named(std::string_view name) {
  return named<Unit>(name, {{"v", Unit::v}, {"g", Unit::g}, {"step", Unit::step}});
}

MomentumKind momentum_named(std::string_view name) {
  return named<MomentumKind>(name, {{"none", MomentumKind::none},
                                    {"heavy_ball", MomentumKind::heavy_ball},
                                    {"nesterov", MomentumKind::nesterov},
                                    {"dana", MomentumKind::dana},
                                    {"smega2", MomentumKind::smega2},
                                    {"ormo", MomentumKind::ormo}});
}

// Whoever holds the one lock may race: nobody else is there.
AccessKind access_named(std::string_view name) {
  return named<AccessKind>(name, {{"racing", AccessKind::racing},
                                  {"atomic", AccessKind::atomic},
                                  {"striped", AccessKind::striped},
                                  {"locked", AccessKind::racing}});
}

GuardKind guard_named(std::string_view name) {
  return named<GuardKind>(name, {{"push", GuardKind::push}, {"element", GuardKind::element}});
}

ExchangeKind exchange_named(std::string_view name) {
  return named<ExchangeKind>(name, {{"elastic", ExchangeKind::elastic},
                                    {"deliver", ExchangeKind::deliver},
                                    {"admm", ExchangeKind::admm},
                                    {"send", ExchangeKind::send},
                                    {"drain", ExchangeKind::drain},
                                    {"blend", ExchangeKind::blend}});
}

Hyper<double> fold(const Rule& rule, const PushCall& call) {
  const bool undampened = call.first_step && rule.torch_first_step;
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
  h.momentum = rule.momentum;
  h.damp = undampened ? 1.0 : 1.0 - rule.dampening;
  h.ahead_v = call.ahead_v;
  h.ahead_b = call.ahead_b;
  h.alpha = call.alpha;
  if (rule.penalty != PenaltyKind::none) fold_gap(rule, call, h);
  if (rule.momentum_kind == MomentumKind::smega2) h.damp = 1.0 / static_cast<double>(rule.workers);
  if (rule.momentum_kind == MomentumKind::ormo) fold_ormo(rule, call, h);
  return h;
}

GapStateRule fold_gap_state(const Rule& rule, const PushCall& call) {
  const bool of_v = rule.unit == Unit::v && rule.momentum_kind != MomentumKind::none;
  return {rule.gap_decay, rule.unit == Unit::step ? 1.0 : call.lr_max, rule.gap_eps, of_v};
}

bool flushes(const Rule& rule, const PushCall& call) { return (call.pushes + 1) % rule.workers == 0; }

int64_t elements_with_gradient(const PushPlan& plan, const PushCall& call) {
  int64_t elements = 0;
  for (size_t k = 0; k < plan.segments.size(); ++k) {
    const auto [offset, numel] = plan.segments[k];
    const int64_t begin = std::max(offset, call.start), end = std::min(offset + numel, call.stop);
    if (call.grads[k] != nullptr && begin < end) elements += end - begin;
  }
  return elements;
}

}  // namespace hogwild
