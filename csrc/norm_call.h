// The run-time description of a pass of Full Normalization (norm.h has the equations). Host only.
#pragma once

#include "norm.h"
#include "rule.h"

namespace hogwild {

// Element (n, c, s) is at (n channels + c) inner + s. Channels last: inner is 1.
struct NormShape {
  int64_t outer, channels, inner;

  HW_HD double per_channel() const { return static_cast<double>(outer * inner); }
};

// x, y, g, dx: elements of type `input`; all others have type `master` and shape [channels], except saved [3,
// channels].
struct NormForward {
  Dtype master, input;
  NormShape shape;
  const void *x, *weight, *bias;  // weight and bias: null for 1 and 0
  void *y, *saved;
  void *mu, *nu;   // state, possibly shared
  int64_t* count;  // number of batches so far; increased by one
  Forgetting forgetting;
  double eps;
  int device;  // -1: the CPU
  uintptr_t stream;
};

struct NormBackward {
  Dtype master, input;
  NormShape shape;
  const void *g, *x, *weight;
  void *saved, *dx;  // dx: null if it is not needed
  void *weight_grad, *bias_grad;
  void *mu_grad, *nu_grad;
  int64_t* count;
  Forgetting forgetting;
  int device;
  uintptr_t stream;
};

namespace cuda {

void norm_forward(const NormForward& call);
void norm_backward(const NormBackward& call);

}  // namespace cuda
}  // namespace hogwild
