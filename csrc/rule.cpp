// A rule's names and its scalars. Host only.
#include "rule.h"

#include <cmath>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

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

}  // namespace

Dtype dtype_named(std::string_view name) {
  return named<Dtype>(
      name, {{"float32", Dtype::float32}, {"bfloat16", Dtype::bfloat16}, {"float64", Dtype::float64}});
}

PenaltyKind penalty_named(std::string_view name) {
  return named<PenaltyKind>(name, {{"none", PenaltyKind::none}, {"gap", PenaltyKind::gap}});
}

MomentumKind momentum_named(std::string_view name) {
  return named<MomentumKind>(name, {{"none", MomentumKind::none},
                                    {"heavy_ball", MomentumKind::heavy_ball},
                                    {"nesterov", MomentumKind::nesterov}});
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

Hyper<double> fold(const Rule& rule, const PushCall& call) {
  const bool undampened = call.first_step && rule.torch_first_step;
  Hyper<double> h{};
  h.lr = call.lr;
  h.weight_decay = call.weight_decay;
  h.momentum = rule.momentum;
  h.damp = undampened ? 1.0 : 1.0 - rule.dampening;
  h.gap_decay = rule.gap_decay;
  h.gap_rest = 1.0 - rule.gap_decay;
  const double unbias = 1.0 / (1.0 - std::pow(rule.gap_decay, static_cast<double>(call.pushes + 1)));
  const bool skip = call.pushes == 0 || !(call.lr_max > 0);
  h.gap_scale = skip ? 0.0 : call.lr_max * std::sqrt(unbias);
  h.gap_floor =
      skip ? 1e38 : call.lr_max * rule.gap_eps;  // still a float; added to any sane gap it stays itself
  return h;
}

}  // namespace hogwild
