// Reads torch's tensors through its table of C functions (DLPack's exchange interface, since torch 2.10), without
// torch's headers: about 15 ns per tensor instead of 200 in Python.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

#include "dlpack.h"
#include "numeric.h"

namespace hogwild {

// Describes a tensor object; 0 if it can. The shapes and strides are those of the tensor, which must live.
using Describe = int (*)(void* object, DLTensor* out);

// That function of a tensor's Python type; null if torch has no such interface.
Describe describe_function(const pybind11::type& tensor);

bool is_contiguous(const DLTensor& tensor);
std::int64_t numel(const DLTensor& tensor);
std::uintptr_t address(const DLTensor& tensor);

// The element type of a gradient for a master of type `master`; nothing if it does not suit it.
std::optional<Dtype> gradient_type(const DLTensor& tensor, Dtype master);

// Whether the elements are int64.
bool is_int64(const DLTensor& tensor);

// Reads tensors of one device.
class TensorReader {
 public:
  // `tensor`: the Python type of tensors. device -1: the CPU.
  TensorReader(const pybind11::type& tensor, int device);

  // Whether torch has the interface; without it nothing can be read.
  bool can_read() const { return describe_ != nullptr; }

  // Describes an object. False if it is no contiguous tensor on the device; a check in Python has a better message.
  bool read(PyObject* object, DLTensor& out) const;

 private:
  pybind11::object tensor_;
  Describe describe_;
  int device_;
};

// Names under which modules hold tensors: (dict of a module, name, value).
class Held {
 public:
  explicit Held(const pybind11::list& entries);
  // Whether each name still stands for the same object.
  bool same() const;

 private:
  struct Entry {
    pybind11::object dict, name, value;
  };
  std::vector<Entry> entries_;
};

}  // namespace hogwild
