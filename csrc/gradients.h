// One gradient per segment: its address, and the element type of all. Read from tensors through the table of C functions
// that torch offers for it (DLPack's exchange interface, since torch 2.10): some 15 ns a tensor instead of 200 in Python.
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
  // `tensor`: the type of the tensors. Segments of `numels` elements; device -1: the CPU.
  GradientTable(const pybind11::type& tensor, std::vector<int64_t> numels, Dtype master, int device);

  // The addresses of tensors that fit, each contiguous and of one type that the master takes; null for None. False:
  // there is something else among them, or no such interface; then what is in the table means nothing.
  bool read(const pybind11::sequence& grads);

  // The same, from who has looked more closely.
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
