// The CPU's loops over the rows of a table: each row goes through the loop of push.h. Compiled once per instruction
// set: setup.py defines HW_ISA.
#include <cmath>

#include "../row_dispatch.h"
#include "loop.h"
#include "rows.h"

namespace hogwild::cpu::HW_ISA {
namespace {

constexpr int64_t kNear = 6;  // rows that are on their way into the first cache while one is worked on
constexpr int64_t kFar = 32;  // and into the second one

// sum of (scale g)^2 over the elements that the guard applies, in kRowLanes partial sums.
template <class Guard, class T, class G>
T sum_of_squares(const G* g, int64_t n, T scale) {
  T sums[kRowLanes] = {};
  const auto square = [scale](G element) {
    const T raw = widen<T>(element), d = scale * raw;
    return hw_select(Guard::applies(raw), d * d, T(0));
  };
  int64_t i = 0;
  for (; i + kRowLanes <= n; i += kRowLanes)
#pragma omp simd
    for (int lane = 0; lane < kRowLanes; ++lane) sums[lane] += square(g[i + lane]);
  for (int lane = 0; i + lane < n; ++lane) sums[lane] += square(g[i + lane]);
  for (int half = kRowLanes / 2; half > 0; half /= 2)
#pragma omp simd
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

template <class Access, class T>
void catch_up_row(const RowTask& task, const Buffers<T>& at, int64_t row) {
  Backlog backlog;
  if (task.plan.catches_up)
    backlog = momentum_backlog(task.momentum_lr, task.plan.rule.momentum,
                               task.pushes - hw_fetch_max(task.table.last + row, task.last));
  backlog.shrink = task.shrink;
  if (task.plan.decay_catches_up) {
    double* const decayed = task.table.decayed + row;
    backlog.shrink = std::exp(task.decay_now - Atomic::exchange(decayed, Atomic::load(decayed), task.decay_now));
  }
  const auto shrink = static_cast<T>(backlog.shrink), along = static_cast<T>(backlog.along),
             keep = static_cast<T>(backlog.keep);
#pragma omp simd
  for (int64_t i = 0; i < task.table.dim; ++i) catch_up<Access>(at, i, shrink, along, keep, task.plan.catches_up);
}

template <class Access>
void count_version(RowTask& task, const UniqueRow& row) {
  uint32_t* const version = task.table.row_version + row.row;
  const uint32_t before = std::is_same_v<Access, Atomic> ? hw_fetch_add_one(version) : (*version)++;
  if (task.seen == nullptr) return;
  const uint32_t delay = before - task.seen[row.first];
  task.row_delay_sum += delay;
  ++task.row_delays[delay == 0 ? 0 : 32 - __builtin_clz(delay)];
}

template <class Access, class T>
void bound_norm(const Buffers<T>& at, int64_t dim, T max_norm) {
  const T factor = norm_factor(sum_of_squares<KnownFinite>(at.x, dim, T(1)), max_norm);
  if (factor == T(1)) return;
  for (int64_t i = 0; i < dim; ++i) {
    T x = Access::load(at.x + i);
    Access::update(at.x + i, x, Caught<T>{factor, 0});
  }
}

// One row's slots.
template <class Stages, class Guard, class Access, class T, class G>
void push_row(RowTask& task, const Buffers<T>& at, int64_t row, const G* g, Hyper<T>& hyper, T lr) {
  const int64_t dim = task.table.dim;
  if constexpr (Stages::uses == buffer::x)
    if (task.plan.row_wise) {
      hyper.lr = lr;
      hyper.lr =
          row_lr<Access>(static_cast<T*>(task.table.q) + row, sum_of_squares<Guard>(g, dim, hyper.scale), dim, hyper);
    }
  for (int64_t begin = 0; begin < dim; begin += kPiece) {
    const int64_t n = dim - begin < kPiece ? dim - begin : kPiece;
    const auto sums = push_loop<Stages, Access>(begin == 0 ? at : slice<T>(at, begin), g + begin, n, hyper);
    task.step_sq += sums.step_sq;
    task.nonfinite += static_cast<int64_t>(sums.nonfinite);
  }
}

// Flattened: rows are short, and a call of their loop, with the copies of its arguments, would take as long as the loop.
template <class Stages, class Guard, class Access, class T, class G>
__attribute__((flatten)) void push_rows(RowTask& task, int64_t begin, int64_t end) {
  const RowPlan& plan = task.plan;
  const Table& table = task.table;
  const Buffers<void> buffers = table.buffers(plan.row_wise);
  Hyper<T> hyper = task.hyper.as<T>();
  const T lr = hyper.lr, max_norm = static_cast<T>(plan.max_norm);
  const bool catches_up = plan.catches_up || plan.decays;
  const auto* const values = static_cast<const G*>(task.values);
  const auto* const sums = static_cast<const T*>(task.sums);
  for (int64_t i = begin; i < end; ++i) {
    if (i + kNear < task.count) task.lines.fetch_near(task.rows[i + kNear].row);
    if (i + kFar < task.count && i + kFar >= task.fetched) task.lines.fetch_far(task.rows[i + kFar].row);
    const UniqueRow row = task.rows[i];
    const Buffers<T> at = slice<T>(buffers, row.row * table.dim);
    if (catches_up) catch_up_row<Access>(task, at, row.row);
    if (row.sum < 0)
      push_row<Stages, Guard, Access>(task, at, row.row, values + row.first * table.dim, hyper, lr);
    else
      push_row<Stages, Guard, Access>(task, at, row.row, sums + row.sum * table.dim, hyper, lr);
    if (max_norm > 0) bound_norm<Access>(at, table.dim, max_norm);
    if (table.row_version != nullptr) count_version<Access>(task, row);
  }
}

template <class Access, class T>
void catch_up_rows(RowTask& task, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    catch_up_row<Access>(task, slice<T>(task.table.buffers(task.plan.row_wise), row * task.table.dim), row);
}

}  // namespace

Kernels::Rows* rows(const RowPlan& plan, Dtype gradient) {
  return with_gradient(plan.rule.master, gradient, [&](auto t, auto g) {
    const auto with_guard = [&](auto guard) {
      return [](auto stages, auto access) -> Kernels::Rows* {
        return push_rows<typename decltype(stages)::type, typename decltype(guard)::type,
                         typename decltype(access)::type, typename decltype(t)::type, typename decltype(g)::type>;
      };
    };
    if (plan.rule.access == AccessKind::atomic)
      return with_row_stages<FiniteOnly, Atomic>(plan, with_guard(Type<FiniteOnly>{}));
    if (plan.rule.guard == GuardKind::element)
      return with_row_stages<FiniteOnly, Racing>(plan, with_guard(Type<FiniteOnly>{}));
    return with_row_stages<KnownFinite, Racing>(plan, with_guard(Type<KnownFinite>{}));
  });
}

Kernels::Rows* row_catch_up(const RowPlan& plan) {
  return with_master(plan.rule.master, [&](auto t) -> Kernels::Rows* {
    using T = typename decltype(t)::type;
    return plan.rule.access == AccessKind::atomic ? catch_up_rows<Atomic, T> : catch_up_rows<Racing, T>;
  });
}

}  // namespace hogwild::cpu::HW_ISA
