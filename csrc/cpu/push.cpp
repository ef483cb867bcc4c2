// Calls the loops on the segments, in pieces; with stripe locks, in pieces of at most one stripe, each under its lock.
// Host only.
#include "push.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>

#include "../stages/penalty.h"
#include "kernels.h"
#include "stripe_lock.h"

namespace hogwild::cpu {
namespace {

size_t element_size(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }

const void* advance(const void* p, Dtype dtype, int64_t elements) {
  return static_cast<const char*>(p) + elements * static_cast<int64_t>(element_size(dtype));
}

void* advance(void* p, Dtype dtype, int64_t elements) {
  return const_cast<void*>(advance(static_cast<const void*>(p), dtype, elements));
}

// visit(segment's index, gradient at `begin` or null, begin, n) for every piece of the plan inside [start, stop):
// within one segment and, where there are locks, within one stripe of the flat buffer.
template <class Visit>
void for_each_piece(const PushPlan& plan, const PushCall& call, const Visit& visit) {
  const auto ends_before = [](const Segment& segment, int64_t start) {
    return segment.offset + segment.numel <= start;
  };
  const auto first = std::lower_bound(plan.segments.begin(), plan.segments.end(), call.start, ends_before);
  const int64_t size = plan.n_stripes > 0 ? kStripe : kPiece;
  for (auto segment = first; segment != plan.segments.end() && segment->offset < call.stop; ++segment) {
    const auto k = static_cast<size_t>(segment - plan.segments.begin());
    const void* g = call.grads[k];
    const int64_t stop = std::min(segment->offset + segment->numel, call.stop);
    for (int64_t begin = std::max(segment->offset, call.start), end; begin < stop; begin = end) {
      end = std::min(stop, (begin / size + 1) * size);
      visit(k, g == nullptr ? nullptr : advance(g, call.gradient, begin - segment->offset), begin, end - begin);
    }
  }
}

// Gap penalties of whole segments: computes a scalar per row of gap_state before the push, and updates the rows after
// it.
class GapRows {
 public:
  GapRows(const PushPlan& plan, const PushCall& call)
      : plan_(plan), rule_(fold_gap_state(plan.rule, call)), scalars_(plan.gap_rows()) {
    std::vector<double> gap_sq(scalars_.size());
    for (size_t row = 0; row < gap_sq.size(); ++row) gap_sq[row] = plan.gap_state[row].gap_sq;
    if (plan.rule.has_first_pass()) {
      std::fill(gap_sq.begin(), gap_sq.end(), 0.0);
      for_each_piece(plan, call, [&](size_t k, const void* g, int64_t begin, int64_t n) {
        if (g != nullptr) gap_sq[plan.gap_row(k)] += kernels().gap_sq(plan.rule.master, plan.buffers, begin, n);
      });
    }
    const auto scalar = is_sized() ? SizedGapPenalty::row : NormGapPenalty::row;
    for (size_t row = 0; row < gap_sq.size(); ++row) scalars_[row] = scalar(plan.gap_state[row], gap_sq[row], rule_);
  }

  double scalar(size_t segment) const { return scalars_[plan_.gap_row(segment)]; }

  void settle(const std::vector<Totals>& rows) {
    for (size_t row = 0; row < scalars_.size(); ++row)
      if (const Totals& seen = rows[row]; seen.elements > 0) {
        const double size_sq = plan_.rule.unit == Unit::step ? seen.step_sq : seen.size_sq;
        const double share = is_sized() ? static_cast<double>(seen.elements) : 1;
        rule_.settle(plan_.gap_state[row], seen.gap_sq, size_sq / share);
      }
  }

 private:
  bool is_sized() const { return plan_.rule.penalty == PenaltyKind::sized_gap; }

  const PushPlan& plan_;
  const GapStateRule rule_;
  std::vector<double> scalars_;
};

PushStats report(const std::vector<Totals>& rows, PushStats stats) {
  Totals all;
  for (const Totals& row : rows) {
    stats.gap_sq += row.gap_sq;
    stats.step_sq += row.step_sq;
    stats.nonfinite += row.nonfinite;
    all.share += row.share;
    all.elements += row.elements;
  }
  if (all.elements > 0) stats.penalty = static_cast<double>(all.elements) / all.share;
  return stats;
}

// Mixes a piece of x with its neighbours' before it is pushed. Without neighbours: does nothing.
class Mixing {
 public:
  Mixing() = default;
  Mixing(const PushPlan& plan, const std::vector<const void*>& neighbours, const std::vector<double>& weights)
      : neighbours_(&neighbours), weights_(&weights) {
    call_.dtype = plan.rule.master;
    call_.out = plan.buffers.x;
    call_.own = plan.buffers.x;
  }

  bool is_none() const { return neighbours_ == nullptr || neighbours_->empty(); }

  void mix(int64_t begin, int64_t n) {
    if (is_none()) return;
    call_.start = begin;
    call_.stop = begin + n;
    kernels().diffuse(call_, neighbours_->data(), weights_->data(), static_cast<int64_t>(weights_->size()));
  }

 private:
  const std::vector<const void*>* neighbours_ = nullptr;
  const std::vector<double>* weights_ = nullptr;
  DiffusionCall call_;
};

// The pass that changes the buffers, after the guard. gradient(g, begin, n): where the loop finds that of a piece.
template <class Gradient>
PushStats apply(const PushPlan& plan, const Rule& rule, const PushCall& call, Hyper<double> hyper, PushStats stats,
                const Gradient& gradient, Mixing mixing = {}) {
  const Kernels& loops = kernels();
  std::optional<GapRows> gap_rows;
  if (rule.has_rows()) gap_rows.emplace(plan, call);
  const bool has_snapshot = plan.buffers.snapshot != nullptr;
  Kernels::Push* const push_range = loops.push(rule, call.gradient, has_snapshot, flushes(rule, call));
  Kernels::Push* const idle_range = has_snapshot || rule.elastic ? loops.idle(rule) : nullptr;
  std::vector<Totals> rows(plan.gap_rows() + 1);  // the last one is for parameters without a gradient
  StripeLock lock(plan.stripes, plan.n_stripes);
  for_each_piece(plan, call, [&](size_t k, const void* g, int64_t begin, int64_t n) {
    if (g == nullptr && idle_range == nullptr && mixing.is_none()) return;
    stats.recovered += lock.enter(begin);
    if (gap_rows) hyper.gap_row = gap_rows->scalar(k);
    plan.segments[k].enter(hyper);
    mixing.mix(begin, n);
    if (g != nullptr)
      push_range(plan.buffers, begin, gradient(g, begin, n), n, hyper, rows[plan.gap_row(k)]);
    else if (idle_range != nullptr)
      idle_range(plan.buffers, begin, g, n, hyper, rows.back());
  });
  if (gap_rows) gap_rows->settle(rows);
  return report(rows, stats);
}

// Reads the gradient under a guard that may refuse it; false: it is refused.
bool passes(const PushPlan& plan, const PushCall& call, Hyper<double>& hyper, PushStats& stats) {
  if (plan.rule.guard != GuardKind::push) return true;
  Scan scan;
  for_each_piece(plan, call, [&](size_t, const void* g, int64_t, int64_t n) {
    if (g != nullptr) kernels().scan(call.gradient, g, n, scan);
  });
  stats.grad_norm = std::fabs(call.scale) * std::sqrt(scan.grad_sq);
  stats.nonfinite = scan.nonfinite;
  stats.applied = scan.nonfinite == 0;
  if (stats.applied) hyper.scale = clipped(call.scale, call.clip, scan.grad_sq);
  return stats.applied;
}

const void* as_it_is(const void* g, int64_t, int64_t) { return g; }

}  // namespace

PushStats push(const PushPlan& plan, const PushCall& call) {
  assert(call.grads.size() == plan.segments.size());
  PushStats stats;
  Hyper<double> hyper = fold(plan.rule, call);
  return passes(plan, call, hyper, stats) ? apply(plan, plan.rule, call, hyper, stats, as_it_is) : stats;
}

PushStats push_among(const PushPlan& plan, const PushCall& call, const std::vector<const void*>& neighbours,
                     const std::vector<double>& weights) {
  assert(call.grads.size() == plan.segments.size());
  PushStats stats;
  Hyper<double> hyper = fold(plan.rule, call);
  Mixing mixing(plan, neighbours, weights);
  if (passes(plan, call, hyper, stats)) return apply(plan, plan.rule, call, hyper, stats, as_it_is, mixing);
  for_each_piece(plan, call, [&](size_t, const void*, int64_t begin, int64_t n) { mixing.mix(begin, n); });
  return stats;
}

PushStats push_mean(const PushPlan& plan, PushCall call, const std::vector<const void*>& inputs) {
  Rule rule = plan.rule;
  rule.guard = GuardKind::element;
  call.gradient = rule.master;
  for (const Segment& segment : plan.segments) call.grads.push_back(advance(inputs[0], rule.master, segment.offset));
  const std::vector<double> weights(inputs.size(), 1.0 / static_cast<double>(inputs.size()));
  std::vector<const void*> parts(inputs.size());
  thread_local std::vector<double> mean(kPiece);
  return apply(plan, rule, call, fold(rule, call), {}, [&](const void*, int64_t begin, int64_t n) {
    for (size_t j = 0; j < parts.size(); ++j) parts[j] = advance(inputs[j], rule.master, begin);
    const auto count = static_cast<int64_t>(parts.size());
    kernels().weighted_sum(rule.master, mean.data(), parts.data(), weights.data(), count, 0, n);
    return static_cast<const void*>(mean.data());
  });
}

int64_t deposit(const PushPlan& plan, const PushCall& call, bool keeps) {
  const Kernels& loops = kernels();
  const auto into = [&](int64_t begin) { return advance(plan.buffers.x, plan.rule.master, begin); };
  Scan scan;
  if (keeps)
    for_each_piece(plan, call, [&](size_t, const void* g, int64_t, int64_t n) {
      if (g != nullptr) loops.scan(call.gradient, g, n, scan);
    });
  if (scan.nonfinite != 0) return scan.nonfinite;
  for_each_piece(plan, call, [&](size_t, const void* g, int64_t begin, int64_t n) {
    if (g != nullptr)
      loops.deposit(call.gradient, into(begin), g, n, scan);
    else
      std::memset(into(begin), 0, static_cast<size_t>(n) * element_size(plan.rule.master));
  });
  return scan.nonfinite;
}

void weighted_sum(const WeightedSumCall& call) {
  kernels().weighted_sum(call.dtype, call.out, call.inputs.data(), call.weights.data(),
                         static_cast<int64_t>(call.inputs.size()), call.start, call.stop - call.start);
}

void copy(const CopyCall& call) {
  kernels().copy(call.dtype, advance(call.out, call.dtype, call.start), advance(call.source, call.dtype, call.start),
                 call.stop - call.start);
}

// In pieces, because the loops count in 32 bits.
int64_t count_nonfinite(const CountCall& call) {
  Scan scan;
  for (int64_t begin = 0; begin < call.numel; begin += kPiece)
    kernels().scan(call.dtype, advance(call.g, call.dtype, begin), std::min(kPiece, call.numel - begin), scan);
  return scan.nonfinite;
}

}  // namespace hogwild::cpu
