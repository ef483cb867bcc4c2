// Walks segments in pieces of at most one stripe and takes the stripes' locks; the loops do the rest. Host
// only.
#include "push.h"

#include <algorithm>
#include <cassert>

#include "../robust_mutex.h"
#include "kernels.h"

namespace hogwild::cpu {
namespace {

size_t element_size(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }

const void* advance(const void* p, Dtype dtype, int64_t elements) {
  return static_cast<const char*>(p) + elements * static_cast<int64_t>(element_size(dtype));
}

void* advance(void* p, Dtype dtype, int64_t elements) {
  return const_cast<void*>(advance(static_cast<const void*>(p), dtype, elements));
}

// visit(gradient at `begin` or null, begin, n) for every piece of the plan inside [start, stop): within one
// segment and within one stripe of the flat buffer.
template <class Visit>
void for_each_piece(const PushPlan& plan, const PushCall& call, const Visit& visit) {
  const auto ends_before = [](const Segment& segment, int64_t start) {
    return segment.offset + segment.numel <= start;
  };
  const auto first = std::lower_bound(plan.segments.begin(), plan.segments.end(), call.start, ends_before);
  for (auto segment = first; segment != plan.segments.end() && segment->offset < call.stop; ++segment) {
    const void* g = call.grads[static_cast<size_t>(segment - plan.segments.begin())];
    const int64_t stop = std::min(segment->offset + segment->numel, call.stop);
    for (int64_t begin = std::max(segment->offset, call.start), end; begin < stop; begin = end) {
      end = std::min(stop, (begin / kStripe + 1) * kStripe);
      visit(g == nullptr ? nullptr : advance(g, call.gradient, begin - segment->offset), begin, end - begin);
    }
  }
}

// Holds the lock of the stripe that is being visited, if there are locks: one at a time, so no deadlock.
class StripeLock {
 public:
  explicit StripeLock(const PushPlan& plan) : plan_(plan) {}
  ~StripeLock() { leave(); }
  StripeLock(const StripeLock&) = delete;
  StripeLock& operator=(const StripeLock&) = delete;

  // True when the lock's last holder died with it.
  bool enter(int64_t element) {
    const int64_t stripe = element / kStripe;
    if (plan_.n_stripes == 0 || stripe == stripe_) return false;
    leave();
    RobustMutex& mutex = plan_.stripes[stripe % plan_.n_stripes];
    const bool recovered = mutex.lock();
    held_ = &mutex;
    stripe_ = stripe;
    return recovered;
  }

 private:
  void leave() {
    if (held_ != nullptr) held_->unlock();
    held_ = nullptr;
  }

  const PushPlan& plan_;
  RobustMutex* held_ = nullptr;
  int64_t stripe_ = -1;
};

}  // namespace

PushStats push(const PushPlan& plan, const PushCall& call) {
  assert(call.grads.size() == plan.segments.size());
  const Kernels& loops = kernels();
  const Rule& rule = plan.rule;
  PushStats stats;
  if (rule.guard == GuardKind::push) {
    for_each_piece(plan, call, [&](const void* g, int64_t, int64_t n) {
      if (g != nullptr) stats.nonfinite += loops.count_nonfinite(call.gradient, g, n);
    });
    stats.applied = stats.nonfinite == 0;
    if (!stats.applied) return stats;
  }
  const bool has_snapshot = plan.buffers.snapshot != nullptr;
  const Hyper<double> hyper = fold(rule, call);
  Kernels::Push* const push_range = loops.push(rule, call.gradient, has_snapshot);
  StripeLock lock(plan);
  for_each_piece(plan, call, [&](const void* g, int64_t begin, int64_t n) {
    const auto at = [&](void* p) { return p == nullptr ? nullptr : advance(p, rule.master, begin); };
    const Buffers<void> here{at(plan.buffers.x), at(plan.buffers.snapshot), at(plan.buffers.v),
                             at(plan.buffers.s)};
    if (g == nullptr && !has_snapshot) return;
    stats.recovered += lock.enter(begin);
    if (g != nullptr)
      push_range(here, g, n, hyper, stats);
    else
      loops.refresh(rule.master, here.snapshot, here.x, n, stats);
  });
  return stats;
}

void weighted_sum(Dtype dtype, void* out, const std::vector<const void*>& inputs,
                  const std::vector<double>& weights, int64_t start, int64_t stop) {
  kernels().weighted_sum(dtype, out, inputs.data(), weights.data(), static_cast<int64_t>(inputs.size()),
                         start, stop - start);
}

void copy(Dtype dtype, void* out, const void* in, int64_t start, int64_t stop) {
  kernels().copy(dtype, advance(out, dtype, start), advance(in, dtype, start), stop - start);
}

// In pieces, for the loops count in float.
int64_t count_nonfinite(Dtype dtype, const void* g, int64_t n) {
  int64_t nonfinite = 0;
  for (int64_t begin = 0; begin < n; begin += kStripe)
    nonfinite += kernels().count_nonfinite(dtype, advance(g, dtype, begin), std::min(kStripe, n - begin));
  return nonfinite;
}

}  // namespace hogwild::cpu
