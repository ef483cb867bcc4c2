// cuda::Push: the tables a push keeps in device memory, and the choice of its element types. Host.
#include <algorithm>
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
  Counts* report = nullptr;             // where the host sees tables.report
  const void** staged = nullptr;        // the table of gradients on its way, in pinned memory
  std::vector<const void*> uploaded{};  // what the table of gradients holds
  cudaEvent_t done = nullptr;           // the latest push
  cudaEvent_t taken = nullptr;          // the latest upload
  bool has_run = false;                 // the latest push, over at least one element
  int64_t elements = 0;                 // that had a gradient then
  double scale = 1;                     // its scale, and whether it was scanned
  bool scanned = false;

  ~State() {  // errors have nowhere to go here, and at interpreter exit the driver may be gone
    cudaFree(const_cast<Segment*>(tables.segments));
    cudaFree(const_cast<Tile*>(tables.tiles));
    cudaFree(tables.stats);
    cudaFree(tables.rows);
    cudaFree(tables.gradients);
    cudaFreeHost(report);
    cudaFreeHost(staged);
    if (done != nullptr) cudaEventDestroy(done);
    if (taken != nullptr) cudaEventDestroy(taken);
  }

  // Brings the table of gradients up to date, if there is one and an address has changed.
  void upload(const PushCall& call) {
    if (tables.gradients == nullptr || call.grads == uploaded) return;
    check(cudaEventSynchronize(taken), "cudaEventSynchronize");  // the upload before it has left `staged`
    uploaded = call.grads;
    std::copy(uploaded.begin(), uploaded.end(), staged);
    check(cudaMemcpyAsync(tables.gradients, staged, uploaded.size() * sizeof(void*), cudaMemcpyHostToDevice,
                          as_stream(call.stream)),
          "cudaMemcpyAsync");
    check(cudaEventRecord(taken, as_stream(call.stream)), "cudaEventRecord");
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
  check(cudaHostAlloc(&state_->report, sizeof(Counts), cudaHostAllocMapped), "cudaHostAlloc");
  *state_->report = {};
  check(cudaHostGetDevicePointer(&tables.report, state_->report, 0), "cudaHostGetDevicePointer");
  for (cudaEvent_t* event : {&state_->done, &state_->taken})  // who waits for one sleeps: others need the core
    check(cudaEventCreateWithFlags(event, cudaEventDisableTiming | cudaEventBlockingSync), "cudaEventCreate");
  if (plan.segments.size() > kMaxGradients) {
    const size_t bytes = plan.segments.size() * sizeof(void*);
    check(cudaMalloc(&tables.gradients, bytes), "cudaMalloc");
    check(cudaHostAlloc(&state_->staged, bytes, cudaHostAllocDefault), "cudaHostAlloc");
  }
  if (plan.rule.has_norm_gap()) tables.rows = to_device(std::vector<GapRow>(plan.gap_rows()));
  tables.blocks = multiprocessors(device) * kBlocksPerMultiprocessor;
}

Push::~Push() = default;
Push::Push(Push&&) noexcept = default;

void Push::run(const PushCall& call) {
  const DeviceGuard guard(state_->device);
  const PushPlan& plan = state_->plan;
  state_->elements = elements_with_gradient(plan, call);
  state_->scale = call.scale;
  state_->scanned = plan.rule.guard == GuardKind::push;
  if (plan.rule.master != Dtype::float32) throw std::invalid_argument("a float64 master is for the CPU");
  state_->upload(call);
  const auto launch = call.gradient == Dtype::bfloat16 ? launch_push<float, bfloat16> : launch_push<float, float>;
  state_->has_run = launch(plan, call, state_->tables);
  check(cudaEventRecord(state_->done, as_stream(call.stream)), "cudaEventRecord");
}

PushStats Push::stats() const {
  const DeviceGuard guard(state_->device);
  check(cudaEventSynchronize(state_->done), "a push");
  const Counts seen = state_->has_run ? *state_->report : Counts{};
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
