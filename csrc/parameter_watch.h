// Whether a model's own code has touched its parameters: their places, whether they are trained, torch's count of
// writes, and sums over their memory, compared in one call for all of them.
#pragma once

#include <pybind11/pybind11.h>

#include <tuple>
#include <vector>

#include "torch_tensors.h"

namespace hogwild {

class ParameterWatch {
 public:
  // One parameter: its address, whether it is trained (requires_grad), torch's count of the writes to it.
  using State = std::tuple<std::uintptr_t, bool, std::int64_t>;

  // `held`: the names under which modules hold the parameters. The writes to the first `counted` parameters are
  // counted. `tensor`: the Python type of tensors.
  ParameterWatch(const pybind11::type& tensor, const pybind11::list& held, const pybind11::list& parameters,
                 std::size_t counted);

  // Remembers the state of all parameters.
  void look();
  // Whether it still is so, and modules hold the same parameters as at first; `with_writes`: and none of the counted
  // ones was written by an operation that torch counts.
  bool same(bool with_writes) const;
  // As remembered, and as it is now.
  std::vector<State> seen() const { return seen_; }
  std::vector<State> now() const;
  // The sum of the memory of each counted parameter, as integers. It lies at the remembered address, on the CPU.
  std::vector<std::uint64_t> sums() const;

 private:
  State state(std::size_t k) const;
  std::uintptr_t place(const pybind11::object& parameter) const;

  Describe describe_;
  Held held_;
  std::vector<pybind11::object> parameters_;
  std::vector<std::size_t> bytes_;  // of the counted ones
  std::vector<State> seen_;
};

}  // namespace hogwild
