// The CPU loops for every rule and element type. Compiled once per instruction set: setup.py defines HW_ISA.
#include "kernels.h"

#include "../dispatch.h"
#include "loop.h"

#define HW_TEXT_OF(name) #name
#define HW_TEXT(name) HW_TEXT_OF(name)

namespace hogwild::cpu::HW_ISA {
namespace {

template <class Stages, class Access, class T, class G>
void push_range(const Buffers<void>& buffers, const void* g, int64_t n, const Hyper<double>& h,
                PushStats& stats) {
  const auto sums =
      push_loop<Stages, Access>(slice<T>(buffers, 0), static_cast<const G*>(g), n, h.template as<T>());
  stats.gap_sq += sums.gap_sq;
  stats.step_sq += sums.step_sq;
  stats.nonfinite += static_cast<int64_t>(sums.nonfinite);
}

// A refused push never gets here, so under GuardKind::push the loop need not look at the gradient again. A
// striped or locked push runs as a racing one: it races only with those who do not take its locks.
Kernels::Push* push(const Rule& rule, Dtype gradient, bool has_snapshot) {
  return with_gradient(rule.master, gradient, [&](auto t, auto g) {
    const auto with_access = [&](auto access) {
      return [](auto stages) -> Kernels::Push* {
        return push_range<typename decltype(stages)::type, typename decltype(access)::type,
                          typename decltype(t)::type, typename decltype(g)::type>;
      };
    };
    if (rule.access == AccessKind::atomic)
      return with_stages<FiniteOnly>(rule, has_snapshot, with_access(Type<Atomic>{}));
    if (rule.guard == GuardKind::element)
      return with_stages<FiniteOnly>(rule, has_snapshot, with_access(Type<Racing>{}));
    return with_stages<KnownFinite>(rule, has_snapshot, with_access(Type<Racing>{}));
  });
}

void refresh(Dtype dtype, void* snapshot, const void* x, int64_t n, PushStats& stats) {
  with_master(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    stats.gap_sq += refresh_loop(static_cast<T*>(snapshot), static_cast<const T*>(x), n);
  });
}

int64_t count_nonfinite(Dtype gradient, const void* g, int64_t n) {
  const Dtype master = gradient == Dtype::float64 ? Dtype::float64 : Dtype::float32;
  return with_gradient(master, gradient, [&](auto t, auto type) {
    using G = typename decltype(type)::type;
    return nonfinite_loop<typename decltype(t)::type>(static_cast<const G*>(g), n);
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

}  // namespace

extern const Kernels table;
const Kernels table{HW_TEXT(HW_ISA), push, refresh, count_nonfinite, weighted_sum, copy};

}  // namespace hogwild::cpu::HW_ISA
