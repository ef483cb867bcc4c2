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

// Elements of a tile: fewer where full tiles would leave blocks of the grid without work.
int32_t tile_size(const PushPlan& plan, int blocks) {
  int64_t tiles = 0;
  for (const Segment& segment : plan.segments) tiles += (segment.numel + kTile - 1) / kTile;
  return tiles < blocks ? kSmallTile : kTile;
}

// Writes the scalars of the next replay to device memory, from a kernel's arguments, so the host need not wait.
__global__ void scalars_kernel(const __grid_constant__ Scalars<float> scalars, Scalars<float>* place) {
  *place = scalars;
}

// Whether a gap of whole segments is one launch: x and snapshot must fit into four fifths of the L2 cache, where the
// second pass then finds them, and all blocks must be resident, which the launch bounds guarantee for
// kBlocksPerMultiprocessor of them.
bool cooperates(const PushPlan& plan, int device) {
  if (!plan.rule.cooperative || !plan.rule.has_first_pass()) return false;
  int64_t elements = 0;
  for (const Segment& segment : plan.segments) elements += segment.numel;
  const int64_t bytes = 2 * elements * static_cast<int64_t>(sizeof(float));
  return attribute(cudaDevAttrCooperativeLaunch, device) != 0 &&
         5 * bytes <= 4LL * attribute(cudaDevAttrL2CacheSize, device);
}

}  // namespace

const char* architectures() { return HOGWILD_CUDA_ARCHS; }

// The part of the model that a push covers.
struct Coverage {
  bool has_run;      // at least one element
  int64_t elements;  // that have a gradient
};

struct Push::State {
  PushPlan plan;
  int device;
  Tables tables{};
  Counts* report = nullptr;             // host address of tables.report
  const void** staged = nullptr;        // tables of gradients to be copied, in pinned memory: this one, a graph's
  std::vector<const void*> uploaded{};  // contents of the table of gradients
  cudaEvent_t done = nullptr;           // the latest push
  cudaEvent_t taken = nullptr;          // the latest upload
  Coverage latest{}, captured{};        // of the latest push, and of the one in the graph
  double scale = 1;                     // of the latest push
  cudaStream_t stream = nullptr;        // of the latest push

  ~State() {  // a destructor cannot report errors, and at interpreter exit the driver may be unloaded
    cudaFree(const_cast<Segment*>(tables.segments));
    cudaFree(const_cast<Tile*>(tables.tiles));
    cudaFree(tables.stats);
    cudaFree(tables.scalars);
    cudaFree(tables.rows);
    cudaFree(tables.gradients);
    cudaFreeHost(report);
    cudaFreeHost(staged);
    if (done != nullptr) cudaEventDestroy(done);
    if (taken != nullptr) cudaEventDestroy(taken);
  }

  // Two pushes in flight would count their blocks together: a push on another stream waits for the one before it.
  void follow(cudaStream_t next) {
    if (next != stream) check(cudaStreamWaitEvent(next, done, 0), "cudaStreamWaitEvent");
    stream = next;
  }

  // Updates the table of gradients, if there is one and an address has changed.
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

  // The same inside a graph: from memory that does not change.
  void capture_upload(const PushCall& call) {
    if (tables.gradients == nullptr) return;
    std::copy(call.grads.begin(), call.grads.end(), staged + call.grads.size());
    check(cudaMemcpyAsync(tables.gradients, staged + call.grads.size(), call.grads.size() * sizeof(void*),
                          cudaMemcpyHostToDevice, as_stream(call.stream)),
          "cudaMemcpyAsync");
  }

  template <bool kCaptured>
  Coverage launch(const PushCall& call) {
    if (plan.rule.master != Dtype::float32) throw std::invalid_argument("a float64 master is for the CPU");
    const auto launch = call.gradient == Dtype::bfloat16 ? launch_push<kCaptured, float, bfloat16>
                                                         : launch_push<kCaptured, float, float>;
    return {launch(plan, call, tables), elements_with_gradient(plan, call)};
  }
};

Push::Push(const PushPlan& plan, int device) : state_(new State{plan, device}) {
  const DeviceGuard guard(device);
  Tables& tables = state_->tables;
  tables.blocks = multiprocessors(device) * kBlocksPerMultiprocessor;
  std::vector<Tile> tiles;
  const int32_t most = tile_size(plan, tables.blocks);
  for (size_t k = 0; k < plan.segments.size(); ++k) {
    const int64_t offset = plan.segments[k].offset, numel = plan.segments[k].numel;
    tables.first_tile.push_back(static_cast<int32_t>(tiles.size()));
    for (int64_t done = 0; done < numel; done += most)
      tiles.push_back({offset + done, offset, static_cast<int32_t>(std::min<int64_t>(most, numel - done)),
                       static_cast<int32_t>(k)});
  }
  tables.first_tile.push_back(static_cast<int32_t>(tiles.size()));
  if (plan.has_groups()) tables.segments = to_device(plan.segments);
  tables.tiles = to_device(tiles);
  tables.stats = to_device(std::vector<DeviceStats>(1));
  tables.scalars = to_device(std::vector<Scalars<float>>(1));
  check(cudaHostAlloc(&state_->report, sizeof(Counts), cudaHostAllocMapped), "cudaHostAlloc");
  *state_->report = {};
  check(cudaHostGetDevicePointer(&tables.report, state_->report, 0), "cudaHostGetDevicePointer");
  for (cudaEvent_t* event : {&state_->done, &state_->taken})  // waits sleep: others need the core
    check(cudaEventCreateWithFlags(event, cudaEventDisableTiming | cudaEventBlockingSync), "cudaEventCreate");
  if (plan.segments.size() > kMaxGradients) {
    const size_t bytes = plan.segments.size() * sizeof(void*);
    check(cudaMalloc(&tables.gradients, bytes), "cudaMalloc");
    check(cudaHostAlloc(&state_->staged, 2 * bytes, cudaHostAllocDefault), "cudaHostAlloc");
  }
  if (plan.rule.has_rows()) tables.rows = to_device(std::vector<GapRow>(plan.gap_rows()));
  tables.cooperates = cooperates(plan, device);
  // Copies from pageable memory may return before the data have arrived, in the order of the default stream, for which
  // torch's other streams do not wait.
  check(cudaStreamSynchronize(nullptr), "the tables of a push");
}

Push::~Push() = default;
Push::Push(Push&&) noexcept = default;

void Push::run(const PushCall& call) {
  const DeviceGuard guard(state_->device);
  if (is_capturing(as_stream(call.stream)))
    throw std::logic_error("a graph would freeze the scalars of this push: use Push.capture inside it");
  state_->follow(as_stream(call.stream));
  state_->upload(call);
  state_->latest = state_->launch<false>(call);
  state_->scale = call.scale;
  check(cudaEventRecord(state_->done, as_stream(call.stream)), "cudaEventRecord");
}

void Push::capture(const PushCall& call) {
  const DeviceGuard guard(state_->device);
  if (!is_capturing(as_stream(call.stream)))
    throw std::logic_error("no graph is being captured on this stream: call Push.capture inside torch.cuda.graph");
  state_->capture_upload(call);
  state_->captured = state_->launch<true>(call);
}

void Push::prepare(const PushCall& call) {
  const DeviceGuard guard(state_->device);
  state_->follow(as_stream(call.stream));
  const Launch launch{"scalars_kernel", 1, 1, as_stream(call.stream)};
  launch(scalars_kernel, make_scalars<float>(state_->plan.rule, call), state_->tables.scalars);
  state_->scale = call.scale;
  state_->uploaded.clear();  // the replay writes its own table
}

void Push::replayed(uintptr_t stream) {
  const DeviceGuard guard(state_->device);
  state_->latest = state_->captured;
  check(cudaEventRecord(state_->done, as_stream(stream)), "cudaEventRecord");
}

bool Push::is_cooperative() const { return state_->tables.cooperates; }

PushStats Push::stats() const {
  const DeviceGuard guard(state_->device);
  check(cudaEventSynchronize(state_->done), "a push");
  const Counts seen = state_->latest.has_run ? *state_->report : Counts{};
  PushStats stats;
  stats.applied = seen.refusing == 0;
  stats.nonfinite = static_cast<int64_t>(seen.refusing + seen.nonfinite);
  stats.gap_sq = seen.gap_sq;
  stats.step_sq = seen.step_sq;
  if (state_->plan.rule.guard == GuardKind::push) stats.grad_norm = std::fabs(state_->scale) * std::sqrt(seen.grad_sq);
  const auto elements = static_cast<double>(state_->latest.elements);
  if (stats.applied && elements > 0) stats.penalty = elements / seen.share;
  return stats;
}

}  // namespace hogwild::cuda
