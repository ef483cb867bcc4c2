// The run-time description of a pass of Full Normalization (norm.h has the equations), listed as in calls.h. Host only.
#pragma once

#include "calls.h"
#include "norm.h"

namespace hogwild {

// Element (n, c, s) is at (n channels + c) inner + s. Channels last: inner is 1.
#define HOGWILD_NORM_SHAPE(VALUE, OPTIONAL) \
  VALUE(int64_t, outer)                     \
  VALUE(int64_t, channels)                  \
  VALUE(int64_t, inner)

// a_t of norm.h.
#define HOGWILD_NORM_FORGETTING(VALUE, OPTIONAL) \
  VALUE(double, alpha)                           \
  VALUE(double, decay)

// x, y, g, dx: elements of type `input`; all others have type `master` and shape [channels], except saved [3,
// channels].
#define HOGWILD_NORM_FORWARD(VALUE, OPTIONAL)                             \
  VALUE(Dtype, master)                                                    \
  VALUE(Dtype, input)                                                     \
  VALUE(const void*, x)                                                   \
  OPTIONAL(const void*, weight, nullptr) /* null: 1 */                    \
  OPTIONAL(const void*, bias, nullptr)   /* null: 0 */                    \
  VALUE(void*, y)                                                         \
  VALUE(void*, saved)                                                     \
  VALUE(void*, mu) /* state, possibly shared */                           \
  VALUE(void*, nu)                                                        \
  VALUE(int64_t*, count) /* number of batches so far; increased by one */ \
  VALUE(double, eps)                                                      \
  HOGWILD_PLACE(VALUE)

#define HOGWILD_NORM_BACKWARD(VALUE, OPTIONAL)         \
  VALUE(Dtype, master)                                 \
  VALUE(Dtype, input)                                  \
  VALUE(const void*, g)                                \
  VALUE(const void*, x)                                \
  OPTIONAL(const void*, weight, nullptr) /* null: 1 */ \
  VALUE(void*, saved)                                  \
  OPTIONAL(void*, dx, nullptr) /* null: not needed */  \
  VALUE(void*, weight_grad)                            \
  VALUE(void*, bias_grad)                              \
  VALUE(void*, mu_grad)                                \
  VALUE(void*, nu_grad)                                \
  VALUE(int64_t*, count)                               \
  HOGWILD_PLACE(VALUE)

#define HOGWILD_FIELD(type, name) type name{};
#define HOGWILD_FIELD_WITH(type, name, value) type name = value;

struct NormShape {
  HOGWILD_NORM_SHAPE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)

  HW_HD double per_channel() const { return static_cast<double>(outer * inner); }
};

struct NormForward {
  HOGWILD_NORM_FORWARD(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
  NormShape shape;
  Forgetting forgetting{};
};

struct NormBackward {
  HOGWILD_NORM_BACKWARD(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
  NormShape shape;
  Forgetting forgetting{};
};

#undef HOGWILD_FIELD_WITH
#undef HOGWILD_FIELD

// The channels of a pass. `rows`: room for the scalars of its second half, [2, channels] forward, [3, channels]
// backward.
template <class T>
HW_HD ForwardChannels<T> channels_of(const NormForward& call, T* rows) {
  ForwardChannels<T> at{};
  at.weight = static_cast<const T*>(call.weight);
  at.bias = static_cast<const T*>(call.bias);
  at.mu = static_cast<T*>(call.mu);
  at.nu = static_cast<T*>(call.nu);
  at.saved = Saved<T>(call.saved, call.shape.channels);
  at.scale = rows;
  at.shift = rows + call.shape.channels;
  at.eps = call.eps;
  at.m = call.shape.per_channel();
  return at;
}

template <class T>
HW_HD BackwardChannels<T> channels_of(const NormBackward& call, T* rows) {
  BackwardChannels<T> at{};
  at.weight = static_cast<const T*>(call.weight);
  at.saved = Saved<T>(call.saved, call.shape.channels);
  at.mu_grad = static_cast<T*>(call.mu_grad);
  at.nu_grad = static_cast<T*>(call.nu_grad);
  at.weight_grad = static_cast<T*>(call.weight_grad);
  at.bias_grad = static_cast<T*>(call.bias_grad);
  at.scale = rows;
  at.tilt = rows + call.shape.channels;
  at.offset = at.tilt + call.shape.channels;
  at.m = call.shape.per_channel();
  return at;
}

namespace cuda {

void norm_forward(const NormForward& call);
void norm_backward(const NormBackward& call);

}  // namespace cuda
}  // namespace hogwild
