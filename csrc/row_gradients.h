// The sparse gradient of each table, read from its tensors.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "rows.h"
#include "torch_tensors.h"

namespace hogwild {

class RowGradientTable {
 public:
  // `tensor`: the Python type of tensors. `dims`: elements of a row of each table. device -1: the CPU.
  RowGradientTable(const pybind11::type& tensor, std::vector<int64_t> dims, Dtype master, int device);

  // Reads (rows [k] int64, values [k, dim]) of each table, contiguous and of a type that suits the master, or None.
  // False if one of them is different, or torch has no such interface; the table is then invalid.
  bool read(const pybind11::sequence& grads);

  const std::vector<RowGradient>& gradients() const { return gradients_; }

 private:
  bool read_one(PyObject* grad, size_t k);

  TensorReader reader_;
  std::vector<int64_t> dims_;
  Dtype master_;
  std::vector<RowGradient> gradients_;
};

}  // namespace hogwild
