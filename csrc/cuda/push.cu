// cuda::Push: the tables a push keeps in device memory, and the choice of its element types. Host.
#include <cmath>
#include <stdexcept>

#include "push.h"
#include "runtime.cuh"
#include "tables.cuh"

namespace hogwild::cuda {
namespace {

template <class E>
E* to_device(const std::vector<E>& values) {
  E* memory = nullptr;
  if (values.empty()) return memory;
  check(cudaMalloc(&memory, values.size() * sizeof(E)), "cudaMalloc");
  check(cudaMemcpy(memory, values.data(), values.size() * sizeof(E), cudaMemcpyHostToDevice), "cudaMemcpy");
  return memory;
}

}  // namespace

const char* architectures() { return HOGWILD_CUDA_ARCHS; }

struct Push::State {
  PushPlan plan;
  int device;
  Tables tables{};
  uintptr_t stream = 0;  // of the latest push
  int64_t elements = 0;  // that had a gradient then
  double scale = 1;      // its scale, and whether it was scanned
  bool scanned = false;

  ~State() {  // errors have nowhere to go here, and at interpreter exit the driver may be gone
    cudaFree(const_cast<Segment*>(tables.segments));
    cudaFree(const_cast<Tile*>(tables.tiles));
    cudaFree(tables.stats);
    cudaFree(tables.rows);
  }
};

Push::Push(const PushPlan& plan, int device) : state_(new State{plan, device}) {
  const DeviceGuard guard(device);
  Tables& tables = state_->tables;
  std::vector<Tile> tiles;
  for (size_t k = 0; k < plan.segments.size(); ++k) {
    tables.first_tile.push_back(static_cast<int32_t>(tiles.size()));
    for (int64_t part = 0; part * kTile < plan.segments[k].numel; ++part)
      tiles.push_back({static_cast<int32_t>(k), static_cast<int32_t>(part)});
  }
  tables.first_tile.push_back(static_cast<int32_t>(tiles.size()));
  tables.segments = to_device(plan.segments);
  tables.tiles = to_device(tiles);
  tables.stats = to_device(std::vector<DeviceStats>(1));
  if (plan.rule.has_norm_gap()) tables.rows = to_device(std::vector<GapRow>(plan.gap_rows()));
  tables.blocks = multiprocessors(device) * kBlocksPerMultiprocessor;
}

Push::~Push() = default;
Push::Push(Push&&) noexcept = default;

void Push::run(const PushCall& call) {
  const DeviceGuard guard(state_->device);
  state_->stream = call.stream;
  const PushPlan& plan = state_->plan;
  state_->elements = elements_with_gradient(plan, call);
  state_->scale = call.scale;
  state_->scanned = plan.rule.guard == GuardKind::push;
  if (plan.rule.master != Dtype::float32) throw std::invalid_argument("a float64 master is for the CPU");
  if (call.gradient == Dtype::bfloat16)
    launch_push<float, bfloat16>(plan, call, state_->tables);
  else
    launch_push<float, float>(plan, call, state_->tables);
}

PushStats Push::stats() const {
  const DeviceGuard guard(state_->device);
  const cudaStream_t stream = as_stream(state_->stream);
  DeviceStats seen{};
  check(cudaMemcpyAsync(&seen, state_->tables.stats, sizeof seen, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream), "a push");
  PushStats stats;
  stats.applied = seen.refusing == 0;
  stats.nonfinite = static_cast<int64_t>(seen.refusing + seen.nonfinite);
  stats.gap_sq = seen.gap_sq;
  stats.step_sq = seen.step_sq;
  if (state_->scanned) stats.grad_norm = std::fabs(state_->scale) * std::sqrt(seen.grad_sq);
  if (stats.applied && state_->elements > 0) stats.penalty = static_cast<double>(state_->elements) / seen.share;
  return stats;
}

}  // namespace hogwild::cuda
