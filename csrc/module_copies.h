// Copies a module's own buffers (BatchNorm statistics) to their places in shared memory and back, all in one call.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "torch_tensors.h"

namespace hogwild {

class ModuleCopies {
 public:
  // `tensors`: the buffers, contiguous. `held`: all entries of the dicts in which modules hold buffers; `dicts`: these
  // dicts, and those of their children, to which nothing may be added. `tensor`: the Python type of tensors.
  ModuleCopies(const pybind11::type& tensor, const pybind11::list& held, const pybind11::list& dicts,
               const pybind11::list& tensors);

  // The places of a worker's copies, one address for each buffer; one that is the buffer's own needs no copy. Returns
  // their number for the calls below.
  std::size_t add(const std::vector<std::uintptr_t>& places);
  // Copies every buffer to its place, or back; on the CPU. False, and nothing is done, if the module now has other
  // buffers, or one of them lies elsewhere or has another size.
  bool write(std::size_t places) const { return is_unchanged() && copy(places_.at(places), true); }
  bool read(std::size_t places) const { return is_unchanged() && copy(places_.at(places), false); }
  // Whether the buffers are what they were.
  bool is_unchanged() const;

 private:
  struct Buffer {
    pybind11::object tensor;
    char* memory;
    std::size_t bytes;
  };
  struct Size {
    pybind11::object dict;
    Py_ssize_t entries;
  };

  bool find(PyObject* tensor, char*& memory, std::size_t& bytes) const;
  bool copy(const std::vector<char*>& places, bool out) const;

  Describe describe_;
  Held held_;
  std::vector<Size> sizes_;
  std::vector<Buffer> buffers_;
  std::vector<std::vector<char*>> places_;
};

}  // namespace hogwild
