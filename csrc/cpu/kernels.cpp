// The CPU loops for every rule and element type. Compiled once per instruction set: setup.py defines HW_ISA.
#include "kernels.h"

#include "../dispatch.h"
#include "loop.h"
#include "mix_loop.h"

#define HW_TEXT_OF(name) #name
#define HW_TEXT(name) HW_TEXT_OF(name)

namespace hogwild::cpu::HW_ISA {

void norm_forward(const NormForward& call, double* work);  // norm.cpp
void norm_backward(const NormBackward& call, double* work);
Kernels::Rows* rows(const RowPlan& plan, Dtype gradient);  // row_loops.cpp
Kernels::Rows* row_catch_up(const RowPlan& plan);

namespace {

template <class Stages, class Access, class T, class G>
void push_range(const Buffers<void>& buffers, int64_t begin, const void* g, int64_t n, const Hyper<double>& h,
                Totals& totals) {
  Hyper<T> hyper = h.template as<T>();
  enter_group(hyper);
  const auto sums = push_loop<Stages, Access>(slice<T>(buffers, begin), static_cast<const G*>(g), n, hyper);
  totals.gap_sq += sums.gap_sq;
  totals.step_sq += sums.step_sq;
  totals.nonfinite += static_cast<int64_t>(sums.nonfinite);
  totals.share += Stages::penalises_elements ? sums.share : h.gap_row * static_cast<double>(n);
  totals.size_sq += sums.size_sq;
  totals.elements += n;
}

// A refused push never gets here, so under GuardKind::push the loop need not check the gradient again. A striped or
// locked push runs as a racing one: it races only with operations that do not take its locks.
Kernels::Push* push(const Rule& rule, Dtype gradient, bool has_snapshot, bool flush) {
  return with_gradient(rule.master, gradient, [&](auto t, auto g) {
    const auto with_access = [&](auto access) {
      return [](auto stages) -> Kernels::Push* {
        return push_range<typename decltype(stages)::type, typename decltype(access)::type, typename decltype(t)::type,
                          typename decltype(g)::type>;
      };
    };
    if (rule.access == AccessKind::atomic)
      return with_stages<FiniteOnly>(rule, has_snapshot, flush, [&](auto stages) {
        return with_own_v<typename decltype(stages)::type>(rule, with_access(Type<Atomic>{}));
      });
    if (rule.guard == GuardKind::element)
      return with_stages<FiniteOnly>(rule, has_snapshot, flush, with_access(Type<Racing>{}));
    return with_stages<KnownFinite>(rule, has_snapshot, flush, with_access(Type<Racing>{}));
  });
}

template <class Idle, class Access, class T>
void idle_range(const Buffers<void>& buffers, int64_t begin, const void*, int64_t n, const Hyper<double>& h,
                Totals& totals) {
  Hyper<T> hyper = h.template as<T>();
  enter_group(hyper);
  totals.gap_sq += idle_loop<Idle, Access>(slice<T>(buffers, begin), n, hyper);
}

Kernels::Push* idle(const Rule& rule) {
  return with_master(rule.master, [&](auto t) {
    return with_idle(rule, [&](auto kind) -> Kernels::Push* {
      using Idle = typename decltype(kind)::type;
      using T = typename decltype(t)::type;
      return rule.access == AccessKind::atomic ? idle_range<Idle, Atomic, T> : idle_range<Idle, Racing, T>;
    });
  });
}

double gap_sq(Dtype dtype, const Buffers<void>& buffers, int64_t begin, int64_t n) {
  return with_master(dtype, [&](auto t) {
    return static_cast<double>(gap_loop(slice<typename decltype(t)::type>(buffers, begin), n));
  });
}

void scan(Dtype gradient, const void* g, int64_t n, Scan& sums) {
  const Dtype master = gradient == Dtype::float64 ? Dtype::float64 : Dtype::float32;
  with_gradient(master, gradient, [&](auto t, auto type) {
    using G = typename decltype(type)::type;
    scan_loop<typename decltype(t)::type>(static_cast<const G*>(g), n, sums);
  });
}

void deposit(Dtype gradient, void* out, const void* g, int64_t n, Scan& sums) {
  const Dtype master = gradient == Dtype::float64 ? Dtype::float64 : Dtype::float32;
  with_gradient(master, gradient, [&](auto t, auto type) {
    using T = typename decltype(t)::type;
    using G = typename decltype(type)::type;
    deposit_loop(static_cast<T*>(out), static_cast<const G*>(g), n, sums);
  });
}

void weighted_sum(Dtype dtype, void* out, const void* const* inputs, const double* weights, int64_t count,
                  int64_t offset, int64_t n) {
  with_master(dtype, [&](auto type) {
    weighted_sum_loop(static_cast<typename decltype(type)::type*>(out), inputs, weights, count, offset, n);
  });
}

void copy(Dtype dtype, void* out, const void* in, int64_t n) {
  with_master(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    copy_loop(static_cast<T*>(out), static_cast<const T*>(in), n);
  });
}

template <class Exchange, class Access, class T>
void exchange_range(const MixBuffers<void>& buffers, int64_t begin, int64_t n, const MixRates<double>& h) {
  exchange_loop<Exchange, Access>(slice<T>(buffers, begin), n, h.template as<T>());
}

Kernels::Exchange* exchange(ExchangeKind kind, AccessKind access, Dtype dtype) {
  return with_master(dtype, [&](auto t) {
    return with_exchange(kind, access, [](auto exchange, auto access) -> Kernels::Exchange* {
      return exchange_range<typename decltype(exchange)::type, typename decltype(access)::type,
                            typename decltype(t)::type>;
    });
  });
}

void diffuse(const DiffusionCall& call, const void* const* neighbours, const double* weights, int64_t count) {
  with_master(call.dtype, [&](auto t) {
    using T = typename decltype(t)::type;
    call.correction == nullptr ? diffuse_loop<false, T>(call, neighbours, weights, count)
                               : diffuse_loop<true, T>(call, neighbours, weights, count);
  });
}

void pair_average(const PairCall& call, int64_t begin, int64_t n) {
  with_master(call.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    T *a = static_cast<T*>(call.a) + begin, *b = static_cast<T*>(call.b) + begin;
    if (call.lag_a == nullptr) return pair_loop(a, b, static_cast<T>(call.weight), n);
    lagging_pair_loop(a, b, static_cast<T*>(call.lag_a) + begin, static_cast<T*>(call.lag_b) + begin,
                      static_cast<T>(call.rest_a), static_cast<T>(call.rest_b), static_cast<T>(call.gain), n);
  });
}

}  // namespace

extern const Kernels table;
const Kernels table{HW_TEXT(HW_ISA), push,    idle,         gap_sq,       scan,          deposit, weighted_sum, copy,
                    exchange,        diffuse, pair_average, norm_forward, norm_backward, rows,    row_catch_up};

}  // namespace hogwild::cpu::HW_ISA
