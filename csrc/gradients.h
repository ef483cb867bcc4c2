// The address of one gradient per segment, and the element type of all. They are read from tensors through torch's
// table of C functions (DLPack's exchange interface, since torch 2.10): about 15 ns per tensor instead of 200 in
// Python.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <vector>

#include "dlpack.h"
#include "numeric.h"
#include "rule.h"

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

  pybind11::object tensor_;
  int (*describe_)(void* object, DLTensor* out) = nullptr;
  std::vector<int64_t> numels_;
  Dtype master_;
  int device_;
  std::vector<const void*> addresses_;
  Dtype dtype_;
};

}  // namespace hogwild
