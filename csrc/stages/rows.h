// The parts of a sparse push that belong to whole rows of a table: the backlog of a row, row-wise Adagrad's q, and the
// largest norm. Host and device; the elements of a row go through the slots of push.h.
#pragma once

#include "../access.h"
#include "../buffers.h"

namespace hogwild {

// A row makes up for weight decay, and for the k pushes that did not touch it and that momentum would have moved:
//   x <- shrink x - along v;   v <- keep v        along = lr m (1 - m^k) / (1 - m), keep = m^k
struct Backlog {
  double shrink = 1, along = 0, keep = 1;
};

// Of a momentum m that missed k pushes with learning rate lr.
HW_HD Backlog momentum_backlog(double lr, double m, int64_t missed) {
  Backlog backlog;
  if (missed > 0) {
    backlog.keep = ::pow(m, static_cast<double>(missed));
    backlog.along = lr * m * (1 - backlog.keep) / (1 - m);
  }
  return backlog;
}

template <class T>
struct Caught {
  T shrink, taken;

  HW_HD T operator()(T x) const { return shrink * x - taken; }
};

// Element i of a row; v only if the rule has one that catches up.
template <class Access, class T>
HW_HD void catch_up(const Buffers<T>& at, int64_t i, T shrink, T along, T keep, bool has_v) {
  T taken = 0;
  if (has_v) {
    T v = Access::load(at.v + i);
    Access::update(at.v + i, v, Caught<T>{keep, 0});
    taken = along * v;
  }
  T x = Access::load(at.x + i);
  Access::update(at.x + i, x, Caught<T>{shrink, taken});
}

// A row's sum of squares is made of this many partial sums, element i in sum i % kRowLanes, which are then added by
// halves: every instruction set and CUDA give the same bits.
constexpr int kRowLanes = 32;

// Row-wise Adagrad: q_r <- q_r + mean_c d_rc^2. Returns the row's lr, lr / (sqrt(q_r) + eps).
template <class Access, class T>
HW_HD T row_lr(T* q, T sum_sq, int64_t dim, const Hyper<T>& h) {
  const T after = Access::add(q, Access::load(q), sum_sq / static_cast<T>(dim));
  return h.lr / (hw_sqrt(after) + h.q_eps);
}

// min(1, c / ||x_r||)
template <class T>
HW_HD T norm_factor(T sum_sq, T max_norm) {
  const T norm = hw_sqrt(sum_sq);
  return norm > max_norm ? max_norm / norm : T(1);
}

}  // namespace hogwild
