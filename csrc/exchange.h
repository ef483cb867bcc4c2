// An exchange and a diffusion as they are described at run time. Host only.
#pragma once

#include <string_view>

#include "mix.h"
#include "rule.h"

namespace hogwild {

enum class ExchangeKind { elastic, deliver, admm, send, drain, blend };

// Of the flat range [start, stop); `stripes` are taken where access is striped.
struct ExchangeCall {
  ExchangeKind kind;
  Dtype dtype;
  AccessKind access;
  MixBuffers<void> buffers;
  MixRates<double> rates;
  RobustMutex* stripes;
  int64_t n_stripes;
  int64_t start, stop;
};

// The correction is null where there is none.
struct DiffusionCall {
  Dtype dtype;
  void* out;
  const void* own;
  void* correction;
  const void* const* neighbours;
  const double* weights;
  int64_t count;
  int64_t start, stop;
};

template <>
ExchangeKind named(std::string_view name);

// lr and rho are ADMM's; 0 elsewhere.
inline MixRates<double> fold_rates(double share, double lr, double rho) {
  return {share, lr, lr * rho, 1 / (1 + lr * rho)};
}

}  // namespace hogwild
