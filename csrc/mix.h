// The element operations of averages and exchanges. Host and device; they change only the buffers that they name.
//
// An exchange moves values between this worker's own buffers and one buffer that several workers write. That buffer is
// read once and changed by one addition (or emptied by one exchange) of its access policy. So under Atomic no addition
// is lost, and one side gains exactly the amount that the other side loses, up to rounding.
#pragma once

#include "access.h"
#include "buffers.h"

namespace hogwild {

// The buffers of one worker's exchange, each [n]: BUFFER(element, name). Null if an exchange does not use it.
#define HOGWILD_MIX_BUFFERS(BUFFER)                                                               \
  BUFFER(T, x)       /* this worker's weights */                                                  \
  BUFFER(T, center)  /* the buffer that several workers write: a center, a mailbox, an average */ \
  BUFFER(T, memory)  /* this worker's memory: x at its last delivery, or its multiplier */        \
  BUFFER(const T, g) /* its gradient */

template <class T>
struct MixBuffers {
#define HOGWILD_POINTER(element, name) element* name = nullptr;
  HOGWILD_MIX_BUFFERS(HOGWILD_POINTER)
#undef HOGWILD_POINTER
};

// The buffers from element `offset` on.
template <class T, class U>
HW_HD MixBuffers<T> slice(const MixBuffers<U>& all, int64_t offset) {
  MixBuffers<T> from;
#define HOGWILD_SLICE(element, name) from.name = element_at<element>(all.name, offset);
  HOGWILD_MIX_BUFFERS(HOGWILD_SLICE)
#undef HOGWILD_SLICE
  return from;
}

// The scalars of an exchange, precomputed on the host (calls.h) so that the loop needs no divisions by them: RATE(name,
// default).
#define HOGWILD_MIX_RATES(RATE)                                                                        \
  RATE(share, 0)  /* fraction of a difference, or of x, that is moved: alpha, a, 1 over the workers */ \
  RATE(lr, 0)     /* of a gradient */                                                                  \
  RATE(pull, 0)   /* lr rho */                                                                         \
  RATE(shrink, 1) /* 1 / (1 + lr rho) */

template <class T>
struct MixRates {
#define HOGWILD_FIELD(name, value) T name = value;
  HOGWILD_MIX_RATES(HOGWILD_FIELD)
#undef HOGWILD_FIELD

  template <class U>
  HW_HD MixRates<U> as() const {
    MixRates<U> result;
#define HOGWILD_CONVERTED(name, value) result.name = static_cast<U>(name);
    HOGWILD_MIX_RATES(HOGWILD_CONVERTED)
#undef HOGWILD_CONVERTED
    return result;
  }
};

// The buffers that most exchanges use; the others override this. `element` returns its addition to the center.
struct Exchange {
  static constexpr bool writes_x = true, reads_center = true, uses_memory = false, uses_g = false;
  static constexpr bool adds = true;  // adds to the center; false: empties it
};

// Elastic averaging (Zhang, Choromanska, LeCun 2015, Algorithm 1):
//   d = alpha (x - c);  x <- x - d;  c <- c + d
// 2 read, 2 written: 16 bytes a float32 parameter.
struct Elastic : Exchange {
  template <class Access, class T>
  HW_HD static T element(const MixBuffers<T>& at, int64_t i, const MixRates<T>& h) {
    const T x = at.x[i], seen = Access::load(at.center + i);
    const T d = h.share * (x - seen);
    at.x[i] = x - d;
    Access::add(at.center + i, seen, d);
    return d;
  }
};

// DOWNPOUR's push and pull (Dean et al. 2012), its accumulator v kept as x - base:
//   d = x - base;  c <- c + d;  x <- base <- c
// 3 read, 3 written: 24 bytes.
struct Deliver : Exchange {
  static constexpr bool uses_memory = true;

  template <class Access, class T>
  HW_HD static T element(const MixBuffers<T>& at, int64_t i, const MixRates<T>&) {
    const T d = at.x[i] - at.memory[i], seen = Access::load(at.center + i);
    at.x[i] = at.memory[i] = Access::add(at.center + i, seen, d);
    return d;
  }
};

// One worker's turn of linearised ADMM (Zhang, Choromanska, LeCun 2015, eqs. 8-11), lambda in units of rho:
//   lambda' = lambda - (x - c);  x' = (x - lr g + lr rho (lambda' + c)) / (1 + lr rho);  c <- c + (x' - c) / p
// The paper's c = mean_j (x_j - lambda_j) in increments: only worker i changes, by
//   (x' - lambda') - (x - lambda) = x' - x + (x - c) = x' - c,
// so c stays equal to the mean. For that, both differences must use the same c, the value that was read.
// 4 read, 3 written: 28 bytes.
struct Admm : Exchange {
  static constexpr bool uses_memory = true, uses_g = true;

  template <class Access, class T>
  HW_HD static T element(const MixBuffers<T>& at, int64_t i, const MixRates<T>& h) {
    const T x = at.x[i], seen = Access::load(at.center + i);
    const T multiplier = at.memory[i] - (x - seen);
    const T next = h.shrink * (x - h.lr * at.g[i] + h.pull * (multiplier + seen));
    const T d = h.share * (next - seen);
    at.memory[i] = multiplier;
    at.x[i] = next;
    Access::add(at.center + i, seen, d);
    return d;
  }
};

// A share of x into a mailbox (push-sum):   box <- box + a x;  x <- x - a x
// 2 read, 2 written: 16 bytes.
struct Send : Exchange {
  static constexpr bool reads_center = false;

  template <class Access, class T>
  HW_HD static T element(const MixBuffers<T>& at, int64_t i, const MixRates<T>& h) {
    const T x = at.x[i], sent = h.share * x;
    at.x[i] = x - sent;
    Access::add(at.center + i, Access::load(at.center + i), sent);
    return sent;
  }
};

// The mailbox emptied into x:   x <- x + box;  box <- 0
// 2 read, 2 written: 16 bytes.
struct Drain : Exchange {
  static constexpr bool adds = false;

  template <class Access, class T>
  HW_HD static T element(const MixBuffers<T>& at, int64_t i, const MixRates<T>&) {
    at.x[i] += Access::exchange(at.center + i, Access::load(at.center + i), T(0));
    return 0;
  }
};

// A moving average of x (ADOWNPOUR, MVADOWNPOUR):   z <- z + a (x - z)
// Not (1 - a) z + a x: its two rounded weights do not add up to 1, and for small a it converges to a value next to x.
// 2 read, 1 written: 12 bytes.
struct Blend : Exchange {
  static constexpr bool writes_x = false;

  template <class Access, class T>
  HW_HD static T element(const MixBuffers<T>& at, int64_t i, const MixRates<T>& h) {
    const T seen = Access::load(at.center + i), d = h.share * (at.x[i] - seen);
    Access::add(at.center + i, seen, d);
    return d;
  }
};

// out = sum_j w_j in_j, one term at a time.
struct WeightedSum {
  template <class T>
  HW_HD static T term(T sum, T weight, T input) {
    return sum + weight * input;
  }
};

// A row of a mixing matrix as fluxes:   f_j = w_j (n_j - own);  out = own + sum_j f_j
// w (a - b) and w (b - a) are exact opposites, so one end of an edge gains what the other loses;
// with independently rounded weights the mean would drift.
// own and k neighbours read, out written: 4 (k + 2) bytes, and 8 for a correction.
struct Diffusion {
  template <class T>
  HW_HD static T add_flux(T sum, T weight, T neighbour, T own) {
    return sum + weight * (neighbour - own);
  }
};

}  // namespace hogwild
