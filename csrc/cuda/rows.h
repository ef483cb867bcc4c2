// Sparse pushes into tables in one CUDA device's memory: the counterpart of cpu::Rows. Defined by rows.cu, or by
// absent.cpp in a build without nvcc.
#pragma once

#include <memory>

#include "../rows.h"

namespace hogwild::cuda {

// All calls wait for the device.
class Rows {
 public:
  Rows(const RowPlan& plan, int device);
  ~Rows();
  Rows(Rows&&) noexcept;

  void begin(const std::vector<RowGradient>& gradients, uintptr_t stream);
  RowScan scan();
  RowStats push(const RowCall& call);
  void catch_up(const RowCall& call);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hogwild::cuda
