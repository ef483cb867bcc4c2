// The kernels of a sparse push: a block of one warp takes a row through the slots of push.h, element by element.
#pragma once

#include <cmath>

#include "row_groups.cuh"

namespace hogwild::cuda {

// One table's part of a push, as arguments of its kernels.
struct RowTask {
  RowWork work;
  Buffers<float> buffers;
  float* row_q;
  int64_t* last;
  double *decayed, *log_decay;
  uint32_t* row_version;
  const uint32_t* seen;
  Hyper<float> hyper;
  int64_t pushes, new_last;
  double shrink, rate, momentum_lr, momentum;
  float max_norm;
  bool row_wise, catches_up, decays, decay_catches_up;
};

// log_decay <- log_decay + log(1 - lr wd), or only read.
__global__ void advance_decay(double* log_decay, double step, RowCounts* counts) {
  const double before = Atomic::load(log_decay);
  counts->decay_now = step == 0 ? before : Atomic::add(log_decay, before, step);
}

template <class Access>
__device__ void catch_up_row(const RowTask& task, const Buffers<float>& at, int64_t row) {
  __shared__ Backlog shared;
  __syncthreads();
  if (threadIdx.x == 0) {
    Backlog backlog;
    if (task.catches_up)
      backlog =
          momentum_backlog(task.momentum_lr, task.momentum, task.pushes - hw_fetch_max(task.last + row, task.new_last));
    backlog.shrink = task.shrink;
    if (task.decay_catches_up) {
      double* const decayed = task.decayed + row;
      const double now = task.work.counts->decay_now;
      backlog.shrink = ::exp(now - Atomic::exchange(decayed, Atomic::load(decayed), now));
    }
    shared = backlog;
  }
  __syncthreads();
  const auto shrink = static_cast<float>(shared.shrink), along = static_cast<float>(shared.along),
             keep = static_cast<float>(shared.keep);
  for (int64_t c = threadIdx.x; c < task.work.dim; c += kRowThreads)
    catch_up<Access>(at, c, shrink, along, keep, task.catches_up);
}

// The row's lr, the same in all threads of the block.
template <class Access>
__device__ float row_wise_lr(const RowTask& task, int64_t row, const float* g) {
  __shared__ float lr;
  float sum = 0;
  for (int64_t c = threadIdx.x; c < task.work.dim; c += kRowThreads) {
    const float d = task.hyper.scale * g[c];
    sum += hw_select(FiniteOnly::applies(g[c]), d * d, 0.0f);
  }
  const float sum_sq = row_sum(sum);
  if (threadIdx.x == 0) lr = row_lr<Access>(task.row_q + row, sum_sq, task.work.dim, task.hyper);
  __syncthreads();
  return lr;
}

template <class Access>
__device__ void bound_norm(const RowTask& task, const Buffers<float>& at) {
  float sum = 0;
  for (int64_t c = threadIdx.x; c < task.work.dim; c += kRowThreads) {
    const float x = Access::load(at.x + c);
    sum += x * x;
  }
  const float factor = norm_factor(row_sum(sum), task.max_norm);
  if (factor == 1.0f) return;
  for (int64_t c = threadIdx.x; c < task.work.dim; c += kRowThreads) {
    float x = Access::load(at.x + c);
    Access::update(at.x + c, x, Caught<float>{factor, 0});
  }
}

__device__ void count_version(const RowTask& task, int64_t row, int64_t first) {
  const uint32_t before = hw_fetch_add_one(task.row_version + row);
  if (task.seen == nullptr) return;
  const uint32_t delay = before - task.seen[first];
  if (delay == 0) return;
  atomicAdd(&task.work.counts->delay_sum, static_cast<unsigned long long>(delay));
  atomicAdd(&task.work.counts->delays[32 - __clz(static_cast<int>(delay))], 1ull);
}

template <class Stages, class Access>
__global__ void __launch_bounds__(kRowThreads) push_rows(const __grid_constant__ RowTask task) {
  const RowWork& work = task.work;
  float step_sq = 0, nonfinite = 0;
  double all_steps = 0;
  for (unsigned u = blockIdx.x; u < work.counts->unique; u += gridDim.x) {
    const Slot& slot = work.slots[work.unique[u]];
    const int64_t first = ~slot.last, row = static_cast<int64_t>(slot.key) - 1;
    const Buffers<float> at = slice<float>(task.buffers, row * work.dim);
    const float* const g = work.sums + u * work.dim;
    Hyper<float> hyper = task.hyper;
    if (task.catches_up || task.decays) catch_up_row<Access>(task, at, row);
    if (task.row_wise) hyper.lr = row_wise_lr<Access>(task, row, g);
    for (int64_t c = threadIdx.x; c < work.dim; c += kRowThreads) {
      const auto seen = Stages::template element<Access, Access>(at, c, g[c], hyper);
      step_sq += seen.step * seen.step;
      nonfinite += seen.nonfinite;
    }
    all_steps += step_sq;
    step_sq = 0;
    if (task.max_norm > 0) bound_norm<Access>(task, at);
    if (task.row_version != nullptr && threadIdx.x == 0) count_version(task, row, first);
  }
  const double steps = row_sum(all_steps), bad = row_sum(static_cast<double>(nonfinite));
  if (threadIdx.x != 0) return;
  atomicAdd(&work.counts->step_sq, steps);
  if (bad != 0) atomicAdd(&work.counts->pushed_nonfinite, static_cast<unsigned long long>(bad));
}

template <class Access>
__global__ void __launch_bounds__(kRowThreads) catch_up_rows(const __grid_constant__ RowTask task) {
  for (int64_t row = blockIdx.x; row < task.work.table_rows; row += gridDim.x)
    catch_up_row<Access>(task, slice<float>(task.buffers, row * task.work.dim), row);
}

}  // namespace hogwild::cuda
