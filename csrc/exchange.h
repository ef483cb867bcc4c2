// The run-time descriptions of an exchange and a diffusion. Host only.
#pragma once

#include <string_view>

#include "mix.h"
#include "rule.h"

namespace hogwild {

enum class ExchangeKind { elastic, deliver, admm, send, drain, blend };

// An exchange of the flat range [start, stop); it takes the locks `stripes` if access is striped.
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

// The correction is null if there is none.
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

// lr and rho are for ADMM; 0 in other exchanges.
inline MixRates<double> fold_rates(double share, double lr, double rho) {
  return {share, lr, lr * rho, 1 / (1 + lr * rho)};
}

}  // namespace hogwild
