// Between the passes of a gap penalty of whole segments: a thread per row of gap_state.
#include "runtime.cuh"
#include "tables.cuh"

namespace hogwild::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    share_kernel(GapRow* rows, const NormGapState* state, int count, NormGapRule rule, bool lagged) {
  for (int k = threadIdx.x; k < count; k += kThreads)
    rows[k].share = 1 / norm_gap(state[k], lagged ? state[k].gap_sq : rows[k].measured_sq, rule);
}

__global__ void __launch_bounds__(kThreads)
    settle_kernel(GapRow* rows, NormGapState* state, int count, NormGapRule rule, const DeviceStats* stats) {
  const bool refused = stats->refused != 0;
  for (int k = threadIdx.x; k < count; k += kThreads) {
    if (!refused && rows[k].elements > 0) settle(state[k], 1 / rows[k].share, rows[k].gap_sq, rows[k].size_sq, rule);
    rows[k] = {};
  }
}

}  // namespace

void make_shares(const PushPlan& plan, const PushCall& call, const Tables& tables) {
  share_kernel<<<1, kThreads, 0, as_stream(call.stream)>>>(tables.rows, plan.gap_state,
                                                           static_cast<int>(plan.gap_rows()),
                                                           fold_norm_gap(plan.rule, call), plan.rule.gap_lagged);
  check_launch("share_kernel");
}

void settle_rows(const PushPlan& plan, const PushCall& call, const Tables& tables) {
  settle_kernel<<<1, kThreads, 0, as_stream(call.stream)>>>(
      tables.rows, plan.gap_state, static_cast<int>(plan.gap_rows()), fold_norm_gap(plan.rule, call), tables.stats);
  check_launch("settle_kernel");
}

}  // namespace hogwild::cuda
