// The data of a push: its buffers, its constants and its report. Plain structs, host and device. Their members come
// from lists.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "hd.h"
#include "lists.h"

namespace hogwild {

// Sets of buffers, one bit each: buffer::v | buffer::b. A stage states the buffers that it uses as such a set.
namespace buffer {

#define HOGWILD_NUMBER(name) number_of_##name,
enum Number : unsigned { HOGWILD_BUFFERS(HOGWILD_NUMBER) };
#undef HOGWILD_NUMBER

#define HOGWILD_BIT(name) name = 1u << number_of_##name,
#define HOGWILD_UNITED(name) | 1u << number_of_##name
enum Set : unsigned { HOGWILD_BUFFERS(HOGWILD_BIT) none = 0, motion = none HOGWILD_MOTION(HOGWILD_UNITED) };
#undef HOGWILD_UNITED
#undef HOGWILD_BIT

}  // namespace buffer

// The flat buffers of one push, each [n]; pointers that the rule does not use are null.
template <class T>
struct Buffers {
#define HOGWILD_POINTER(name) T* name = nullptr;
  HOGWILD_BUFFERS(HOGWILD_POINTER)
#undef HOGWILD_POINTER
};

template <class T, class U>
HW_HD T* element_at(U* p, int64_t i) {
  return p == nullptr ? nullptr : static_cast<T*>(p) + i;
}

// The buffers from element `offset` on.
template <class T, class U>
HW_HD Buffers<T> slice(const Buffers<U>& all, int64_t offset) {
  Buffers<T> from;
#define HOGWILD_SLICE(name) from.name = element_at<T>(all.name, offset);
  HOGWILD_BUFFERS(HOGWILD_SLICE)
#undef HOGWILD_SLICE
  return from;
}

// A number for each momentum buffer: one element of it, or its weight.
template <class T>
struct Motion {
#define HOGWILD_NUMBER(name) T name = 0;
  HOGWILD_MOTION(HOGWILD_NUMBER)
#undef HOGWILD_NUMBER
};

template <class U>
HW_HD bool converted(bool value) {
  return value;
}

template <class U, class T>
HW_HD U converted(T value) {
  return static_cast<U>(value);
}

template <class U, class T>
HW_HD Motion<U> converted(const Motion<T>& values) {
  Motion<U> result;
#define HOGWILD_CONVERTED(name) result.name = static_cast<U>(values.name);
  HOGWILD_MOTION(HOGWILD_CONVERTED)
#undef HOGWILD_CONVERTED
  return result;
}

// The scalars of one push in the arithmetic type T.
template <class T>
struct Hyper {
#define HOGWILD_FIELD(type, name, value) type name = value;
  HOGWILD_HYPER(HOGWILD_FIELD)
#undef HOGWILD_FIELD

  template <class U>
  HW_HD Hyper<U> as() const {
    Hyper<U> result;
#define HOGWILD_CONVERTED(type, name, value) result.name = converted<U>(name);
    HOGWILD_HYPER(HOGWILD_CONVERTED)
#undef HOGWILD_CONVERTED
    return result;
  }
};

// Multiplies the scalars by the factors of a parameter group, `group_lr` and `group_decay`.
template <class T>
HW_HD void enter_group(Hyper<T>& h) {
  h.lr *= h.group_lr;
#define HOGWILD_SCALED(name) h.ahead.name *= h.group_lr;
  HOGWILD_MOTION(HOGWILD_SCALED)
#undef HOGWILD_SCALED
  h.weight_decay *= h.group_decay;
  h.free_decay *= h.group_decay;
  h.decoupled *= h.group_lr * h.group_decay;
}

// The range of one parameter tensor in the flat buffers, and the factors of its group. Elements between segments are
// padding and never touched.
struct Segment {
  int64_t offset;
  int64_t numel;
  double lr = 1;
  double decay = 1;

  template <class T>
  HW_HD void enter(Hyper<T>& h) const {
    h.group_lr = static_cast<T>(lr);
    h.group_decay = static_cast<T>(decay);
  }
};

struct PushStats {
  bool applied = true;    // false: Guard.PUSH refused it, nothing was written
  int64_t nonfinite = 0;  // gradient elements that were NaN or infinite
  double gap_sq = 0;      // sum (x - snapshot)^2, or of squared distances to the center, before the push
  double step_sq = 0;     // sum of squared steps, without those of an exchange
  double penalty = 1;     // harmonic mean of G: a gradient element counted 1 / penalty on average
  int64_t recovered = 0;  // stripe locks with a dead holder
  // Norm of the scaled gradient, before clipping; NaN if it was not scanned.
  double grad_norm = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace hogwild
