// A push and an average over flat buffers in one CUDA device's memory: the interface for the rest of the extension,
// with plain pointers, and streams as integers. Defined by the .cu files, or by absent.cpp in a build without nvcc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../calls.h"

namespace hogwild::cuda {

// "sm_80 ..." as compiled; empty when the build has no CUDA.
const char* architectures();

// Holds the segment table and the counts in device memory. run() enqueues and returns; stats() waits for the latest
// push, but not for work that was enqueued after it.
class Push {
 public:
  Push(const PushPlan& plan, int device);
  ~Push();
  Push(Push&&) noexcept;

  void run(const PushCall& call);
  PushStats stats() const;

  // For a graph: capture() adds the launches of a push of these gradients to the graph that is being captured, without
  // allocating or waiting. Before every replay prepare() enqueues the scalars of that push; after it replayed() makes
  // stats() wait for it. A graph that was captured earlier must not be replayed any more.
  void capture(const PushCall& call);
  void prepare(const PushCall& call);
  void replayed(uintptr_t stream);

  // Whether a gap penalty of whole segments is one launch.
  bool is_cooperative() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

void weighted_sum(const WeightedSumCall& call);
void copy(const CopyCall& call);
// Enqueues. No chunk is skipped, because there are no locks.
PairStats pair_average(const PairCall& call);
// Waits for the result.
int64_t count_nonfinite(const CountCall& call);

}  // namespace hogwild::cuda
