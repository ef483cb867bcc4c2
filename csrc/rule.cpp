// The scalars of a push, once per push. Host only.
#include "rule.h"

#include <cmath>

namespace hogwild {

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
  h.gap_floor = skip ? 1e38 : call.lr_max * rule.gap_eps;  // still a float; added to any sane gap it stays itself
  return h;
}

}  // namespace hogwild
