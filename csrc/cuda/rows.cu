// cuda::Rows: the device memory of sparse pushes, and their launches. Host.
#include <cmath>

#include "../row_dispatch.h"
#include "row_kernels.cuh"
#include "rows.h"

namespace hogwild::cuda {
namespace {

// Device memory that grows.
class Memory {
 public:
  Memory() = default;
  ~Memory() { cudaFree(at_); }
  Memory(Memory&& other) noexcept : at_(other.at_), bytes_(other.bytes_) { other.at_ = nullptr; }
  Memory(const Memory&) = delete;

  template <class T>
  T* take(int64_t count) {
    const auto bytes = static_cast<size_t>(count) * sizeof(T);
    if (bytes > bytes_) {
      check(cudaFree(at_), "cudaFree");
      at_ = nullptr;
      check(cudaMalloc(&at_, bytes), "cudaMalloc");
      bytes_ = bytes;
    }
    return static_cast<T*>(at_);
  }

 private:
  void* at_ = nullptr;
  size_t bytes_ = 0;
};

struct TableMemory {
  Memory slots, slot_of, listed, unique, sums;
};

}  // namespace

struct Rows::State {
  RowPlan plan;
  int device;
  Memory counts_memory{};
  RowCounts* counts = nullptr;  // on the device, one per table
  std::vector<TableMemory> memory{};
  std::vector<RowWork> works{};
  std::vector<RowGradient> gradients{};
  std::vector<RowCounts> seen{};
  bool is_scanned = false;

  unsigned blocks(int64_t visits, int threads) const {
    const int64_t most = static_cast<int64_t>(multiprocessors(device)) * (2048 / threads);
    return static_cast<unsigned>(std::max<int64_t>(1, std::min(most, visits)));
  }

  void read(cudaStream_t stream) {
    check(cudaMemcpyAsync(seen.data(), counts, seen.size() * sizeof(RowCounts), cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream), "a sparse push");
  }

  void group(size_t k, cudaStream_t stream) {
    const RowGradient& gradient = gradients[k];
    RowWork& work = works[k];
    work = {};
    work.table_rows = plan.tables[k].rows;
    work.dim = plan.tables[k].dim;
    work.counts = counts + k;
    work.count = gradient.rows == nullptr ? 0 : gradient.count;
    if (work.count == 0) return;
    if (work.count > INT32_MAX / 4) throw std::invalid_argument("a sparse gradient has too many rows");
    work.rows = gradient.rows;
    work.values = gradient.values;
    work.n_slots = 32;
    while (work.n_slots < 2 * static_cast<uint64_t>(work.count)) work.n_slots *= 2;
    work.slots = memory[k].slots.take<Slot>(work.n_slots);
    work.slot_of = memory[k].slot_of.take<unsigned>(work.count);
    work.listed = memory[k].listed.take<unsigned>(work.count);
    work.unique = memory[k].unique.take<unsigned>(work.count);
    work.sums = memory[k].sums.take<float>(work.count * work.dim);
    check(cudaMemsetAsync(work.slots, 0, work.n_slots * sizeof(Slot), stream), "cudaMemsetAsync");
    const unsigned grid = blocks((work.count + kThreads - 1) / kThreads, kThreads);
    Launch{"find_rows", grid, kThreads, stream}(find_rows, work);
    Launch{"place_rows", grid, kThreads, stream}(place_rows, work);
    Launch{"list_rows", grid, kThreads, stream}(list_rows, work);
    const Launch sum{"sum_rows", blocks(work.count, kRowThreads), kRowThreads, stream};
    gradient.dtype == Dtype::bfloat16 ? sum(sum_rows<bfloat16>, work) : sum(sum_rows<float>, work);
  }

  RowTask task(size_t k, const RowCall& call, bool advances) const {
    const Table& table = plan.tables[k];
    RowTask task{};
    task.work = works[k];
    task.work.table_rows = table.rows;
    task.work.dim = table.dim;
    task.work.counts = counts + k;
    task.buffers = slice<float>(table.buffers(plan.row_wise), 0);
    task.row_q = plan.row_wise ? static_cast<float*>(table.q) : nullptr;
    task.last = table.last;
    task.decayed = table.decayed;
    task.log_decay = table.log_decay;
    task.row_version = table.row_version;
    task.seen = call.seen.empty() ? nullptr : static_cast<const uint32_t*>(call.seen.at(k));
    task.hyper = fold(plan, table, call).as<float>();
    task.pushes = call.pushes;
    task.new_last = call.pushes + (advances ? 1 : 0);
    task.rate = plan.decays ? plan.decay_rate(table, call.lr) : 0;
    task.shrink = advances && !plan.decay_catches_up ? 1 - task.rate : 1;
    task.momentum_lr = call.lr * table.lr_factor;
    task.momentum = plan.rule.momentum;
    task.max_norm = static_cast<float>(plan.max_norm);
    task.row_wise = plan.row_wise;
    task.catches_up = plan.catches_up;
    task.decays = plan.decays;
    task.decay_catches_up = plan.decay_catches_up;
    if (plan.decay_catches_up) {
      const Launch launch{"advance_decay", 1, 1, as_stream(call.stream)};
      launch(advance_decay, table.log_decay, advances ? std::log1p(-task.rate) : 0.0, counts + k);
    }
    return task;
  }
};

Rows::Rows(const RowPlan& plan, int device) : state_(new State{plan, device}) {
  if (plan.rule.master != Dtype::float32) throw std::invalid_argument("tables of float64 are for the CPU");
  const DeviceGuard guard(device);
  const size_t n = plan.tables.size();
  state_->memory.resize(n);
  state_->works.resize(n);
  state_->seen.resize(n);
  state_->counts = state_->counts_memory.take<RowCounts>(static_cast<int64_t>(n));
}

Rows::~Rows() = default;
Rows::Rows(Rows&&) noexcept = default;

void Rows::begin(const std::vector<RowGradient>& gradients, uintptr_t stream) {
  State& state = *state_;
  const DeviceGuard guard(state.device);
  state.is_scanned = false;
  state.gradients = gradients;
  const size_t n = state.plan.tables.size();
  check(cudaMemsetAsync(state.counts, 0, n * sizeof(RowCounts), as_stream(stream)), "cudaMemsetAsync");
  for (size_t k = 0; k < n; ++k) state.group(k, as_stream(stream));
  state.read(as_stream(stream));
  for (size_t k = 0; k < n; ++k)
    if (state.seen[k].missing != 0) {
      int64_t row = 0;
      const auto at = gradients[k].count - static_cast<int64_t>(state.seen[k].missing);
      check(cudaMemcpy(&row, gradients[k].rows + at, sizeof row, cudaMemcpyDeviceToHost), "cudaMemcpy");
      refuse_row(state.plan.tables[k], row);
    }
}

RowScan Rows::scan() {
  RowScan scan;
  for (const RowCounts& counts : state_->seen) {
    scan.norm_sq += counts.grad_sq;
    scan.nonfinite += static_cast<int64_t>(counts.nonfinite);
  }
  state_->is_scanned = true;
  return scan;
}

RowStats Rows::push(const RowCall& call) {
  State& state = *state_;
  const DeviceGuard guard(state.device);
  const RowPlan& plan = state.plan;
  check_decay(plan, call.lr);
  RowStats stats;
  if (state.is_scanned) {
    const RowScan scanned = scan();
    stats.nonfinite = scanned.nonfinite;
    stats.grad_norm = std::fabs(call.scale) * std::sqrt(scanned.norm_sq);
    stats.applied = plan.rule.guard != GuardKind::push || scanned.nonfinite == 0;
    if (!stats.applied) return stats;
  }
  const cudaStream_t stream = as_stream(call.stream);
  for (size_t k = 0; k < plan.tables.size(); ++k) {
    const RowTask task = state.task(k, call, true);
    if (task.work.count == 0) continue;
    const Launch launch{"push_rows", state.blocks(state.seen[k].unique, kRowThreads), kRowThreads, stream};
    const auto run = [&](auto stages, auto access) {
      launch(push_rows<typename decltype(stages)::type, typename decltype(access)::type>, task);
    };
    if (plan.rule.access == AccessKind::atomic)
      with_row_stages<FiniteOnly, Atomic>(plan, run);
    else
      with_row_stages<FiniteOnly, Racing>(plan, run);
  }
  state.read(stream);
  for (size_t k = 0; k < plan.tables.size(); ++k) {
    const RowCounts& counts = state.seen[k];
    stats.step_sq += counts.step_sq;
    if (!state.is_scanned) stats.nonfinite += static_cast<int64_t>(counts.pushed_nonfinite);
    stats.rows += state.works[k].count;
    stats.unique_rows += counts.unique;
    stats.row_delay_sum += static_cast<int64_t>(counts.delay_sum);
    int64_t shared = 0;
    for (size_t place = 1; place < stats.row_delays.size(); ++place) {
      stats.row_delays[place] += static_cast<int64_t>(counts.delays[place]);
      shared += static_cast<int64_t>(counts.delays[place]);
    }
    stats.shared_rows += shared;
    if (!call.seen.empty() && call.seen.at(k) != nullptr) stats.row_delays[0] += counts.unique - shared;
  }
  return stats;
}

void Rows::catch_up(const RowCall& call) {
  State& state = *state_;
  const DeviceGuard guard(state.device);
  check_decay(state.plan, call.lr);
  for (size_t k = 0; k < state.plan.tables.size(); ++k) {
    const RowTask task = state.task(k, call, false);
    const Launch launch{"catch_up_rows", state.blocks(task.work.table_rows, kRowThreads), kRowThreads,
                        as_stream(call.stream)};
    state.plan.rule.access == AccessKind::atomic ? launch(catch_up_rows<Atomic>, task)
                                                 : launch(catch_up_rows<Racing>, task);
  }
  check(cudaStreamSynchronize(as_stream(call.stream)), "catch_up");
}

}  // namespace hogwild::cuda
