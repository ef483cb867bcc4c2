// The address of one gradient per segment, and the element type of all, read from tensors.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <vector>

#include "numeric.h"
#include "rule.h"
#include "torch_tensors.h"

namespace hogwild {

class GradientTable {
 public:
  // `tensor`: the Python type of tensors. `numels`: elements of the segments. device -1: the CPU.
  GradientTable(const pybind11::type& tensor, std::vector<int64_t> numels, Dtype master, int device);

  // Reads the addresses of tensors, each contiguous and all of one type that suits the master; null for None. False if
  // one of them is different, or torch has no such interface; the table is then invalid.
  bool read(const pybind11::sequence& grads);

  // The same, with addresses that the caller has checked.
  void set(const std::vector<uintptr_t>& addresses, Dtype dtype);

  const std::vector<const void*>& addresses() const { return addresses_; }
  Dtype dtype() const { return dtype_; }

 private:
  bool read_one(PyObject* grad, size_t k, bool& is_first);

  TensorReader reader_;
  std::vector<int64_t> numels_;
  Dtype master_;
  std::vector<const void*> addresses_;
  Dtype dtype_;
};

}  // namespace hogwild
