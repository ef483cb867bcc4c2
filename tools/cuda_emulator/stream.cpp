// Streams, events and graphs. A stream is as lazy as possible: an operation runs when a host thread waits for it, on
// that thread. Code that uses a result of the device without waiting therefore fails.
#include <deque>
#include <mutex>
#include <set>
#include <vector>

#include "grid.h"
#include "memory.h"

namespace emulator {

using Operation = std::function<void()>;

struct Graph {
  std::vector<Operation> operations;
};

struct Stream {
  std::deque<Operation> waiting;
  std::uint64_t enqueued = 0, done = 0;
  Graph* graph = nullptr;  // the graph that is being captured
};

// An event is complete when its stream has finished this number of operations.
struct Event {
  Stream* stream = nullptr;
  std::uint64_t after = 0;
};

namespace {

std::atomic<long> counted[static_cast<int>(Deed::kinds)];
std::recursive_mutex mutex;
std::set<Stream*> streams;

using Lock = std::lock_guard<std::recursive_mutex>;

Stream& at(Stream* stream) {
  static Stream by_default;
  Stream* const found = stream == nullptr ? &by_default : stream;
  streams.insert(found);
  return *found;
}

void advance(Stream& stream) {
  const Operation operation = std::move(stream.waiting.front());
  stream.waiting.pop_front();
  operation();
  ++stream.done;
}

void drain(Stream& stream, std::uint64_t until) {
  while (stream.done < until && !stream.waiting.empty()) advance(stream);
}

bool is_capturing() {
  for (const Stream* stream : streams)
    if (stream->graph != nullptr) return true;
  return false;
}

void enqueue(Stream* stream_, Operation operation) {
  const Lock lock(mutex);
  Stream& stream = at(stream_);
  if (stream.graph != nullptr) {
    stream.graph->operations.push_back(std::move(operation));
    return;
  }
  stream.waiting.push_back(std::move(operation));
  ++stream.enqueued;
  if (is_inside()) drain(stream, stream.enqueued);
}

}  // namespace

void count(Deed deed) { ++counted[static_cast<int>(deed)]; }

cudaError_t launch(const cudaLaunchConfig_t& config, std::function<void()> device_thread) {
  const dim3 blocks = config.gridDim, threads = config.blockDim;
  const std::uint64_t per_block = std::uint64_t{threads.x} * threads.y * threads.z;
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0 || per_block == 0 || per_block > 1024)
    return cudaErrorInvalidConfiguration;
  const bool is_cooperative = config.numAttrs > 0 && config.attrs[0].val.cooperative != 0;
  if (is_cooperative && blocks.x * blocks.y * blocks.z > kMultiprocessors * kBlocksPerMultiprocessor)
    return cudaErrorCooperativeLaunchTooLarge;
  count(Deed::launch);
  enqueue(config.stream, [=] { run_grid(blocks, threads, is_cooperative, device_thread); });
  return cudaSuccess;
}

}  // namespace emulator

using namespace emulator;

extern "C" {

long emulator_count(int deed) { return counted[deed]; }
int emulator_finish() {
  const Lock lock(mutex);
  const std::set<Stream*> all = streams;
  for (Stream* stream : all) drain(*stream, stream->enqueued);
  return 0;
}
int emulator_is_idle() {
  const Lock lock(mutex);
  for (const Stream* stream : streams)
    if (!stream->waiting.empty()) return 0;
  return 1;
}
int emulator_sleep(cudaStream_t stream) {
  enqueue(stream, [] {});
  return 0;
}

cudaError_t cudaDeviceSynchronize() {
  count(Deed::wait);
  const Lock lock(mutex);
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  emulator_finish();
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** p, std::size_t bytes, cudaStream_t) {
  count(Deed::allocation);
  int device = 0;
  cudaGetDevice(&device);
  *p = allocate(bytes, device);  // in a graph: the same memory in every replay
  return *p == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  const Lock lock(mutex);
  if (at(stream).graph == nullptr) enqueue(stream, [p] { release(p); });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  count(Deed::copy);
  const Lock lock(mutex);
  const auto is_pageable = [](const void* p) { return device_of(p) < 0 && !is_pinned(p); };
  const bool captures = at(stream).graph != nullptr;
  if (captures && (is_pageable(to) || is_pageable(from))) return cudaErrorStreamCaptureUnsupported;
  if (is_pageable(from)) {  // pageable memory is read before the call returns
    const auto* first = static_cast<const char*>(from);
    enqueue(stream,
            [to, read = std::vector<char>(first, first + bytes)] { std::memcpy(to, read.data(), read.size()); });
  } else {
    enqueue(stream, [=] { std::memcpy(to, from, bytes); });
    if (is_pageable(to)) drain(at(stream), at(stream).enqueued);
  }
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const Lock lock(mutex);
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  // From pageable memory the call may return when the source has been read, before the data have arrived.
  const bool is_late = device_of(from) < 0 && !is_pinned(from) && device_of(to) >= 0;
  return is_late ? cudaSuccess : cudaStreamSynchronize(nullptr);
}
cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
  count(Deed::copy);
  enqueue(stream, [=] { std::memset(p, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(mutex);
  *stream = &at(new Stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(mutex);
  drain(*stream, stream->enqueued);
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream_) {
  count(Deed::wait);
  const Lock lock(mutex);
  Stream& stream = at(stream_);
  if (stream.graph != nullptr) return cudaErrorStreamCaptureUnsupported;
  drain(stream, stream.enqueued);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  enqueue(stream, [recorded = *event] {
    if (recorded.stream != nullptr) drain(*recorded.stream, recorded.after);
  });
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Lock lock(mutex);
  *status = at(stream).graph != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int) {
  const Lock lock(mutex);
  if (stream == nullptr || stream->graph != nullptr) return cudaErrorStreamCaptureUnsupported;
  stream->graph = new Graph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(mutex);
  if (stream->graph == nullptr) return cudaErrorInvalidValue;
  *graph = std::exchange(stream->graph, nullptr);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream_) {
  const Lock lock(mutex);
  Stream& stream = at(stream_);
  if (stream.graph != nullptr) return cudaErrorStreamCaptureUnsupported;
  *event = {&stream, stream.enqueued};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  count(Deed::wait);
  const Lock lock(mutex);
  if (event->stream != nullptr) drain(*event->stream, event->after);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(mutex);
  if (event->stream == nullptr || event->stream->done >= event->after) return cudaSuccess;
  advance(*event->stream);  // so that polling ends
  return event->stream->done >= event->after ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* instance, cudaGraph_t graph, unsigned long long) {
  *instance = new Graph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t instance, cudaStream_t stream) {
  for (const Operation& operation : instance->operations) enqueue(stream, operation);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t instance) {
  delete instance;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
}
