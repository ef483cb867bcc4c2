#include "module_copies.h"

#include <pybind11/stl.h>

#include <cstring>
#include <stdexcept>

namespace py = pybind11;

namespace hogwild {

void bind_copies(py::module_& m);

ModuleCopies::ModuleCopies(const py::type& tensor, const py::list& held, const py::list& dicts, const py::list& tensors)
    : describe_(describe_function(tensor)), held_(held) {
  for (const auto& dict : dicts) sizes_.push_back({py::reinterpret_borrow<py::object>(dict), PyDict_Size(dict.ptr())});
  for (const auto& item : tensors) {
    Buffer buffer{py::reinterpret_borrow<py::object>(item), nullptr, 0};
    if (!find(item.ptr(), buffer.memory, buffer.bytes)) throw std::invalid_argument("a buffer is not contiguous");
    buffers_.push_back(buffer);
  }
}

bool ModuleCopies::find(PyObject* tensor, char*& memory, std::size_t& bytes) const {
  DLTensor found{};
  if (describe_ == nullptr || describe_(tensor, &found) != 0) {
    PyErr_Clear();
    return false;
  }
  memory = reinterpret_cast<char*>(address(found));
  bytes = static_cast<std::size_t>(numel(found)) * found.bits * found.lanes / 8;
  return is_contiguous(found);
}

std::size_t ModuleCopies::add(const std::vector<std::uintptr_t>& places) {
  std::vector<char*> memory;
  for (std::size_t k = 0; k < buffers_.size(); ++k) memory.push_back(reinterpret_cast<char*>(places.at(k)));
  places_.push_back(std::move(memory));
  return places_.size() - 1;
}

bool ModuleCopies::is_unchanged() const {
  if (!held_.same()) return false;
  for (const Size& size : sizes_)
    if (PyDict_Size(size.dict.ptr()) != size.entries) return false;
  for (const Buffer& buffer : buffers_) {
    char* memory = nullptr;
    std::size_t bytes = 0;
    if (!find(buffer.tensor.ptr(), memory, bytes) || memory != buffer.memory || bytes != buffer.bytes) return false;
  }
  return true;
}

bool ModuleCopies::copy(const std::vector<char*>& places, bool out) const {
  for (std::size_t k = 0; k < buffers_.size(); ++k) {
    const Buffer& buffer = buffers_[k];
    if (places[k] == buffer.memory || buffer.bytes == 0) continue;
    std::memcpy(out ? places[k] : buffer.memory, out ? buffer.memory : places[k], buffer.bytes);
  }
  return true;
}

void bind_copies(py::module_& m) {
  py::class_<ModuleCopies>(m, "ModuleCopies")
      .def(py::init<const py::type&, const py::list&, const py::list&, const py::list&>())
      .def("add", &ModuleCopies::add)
      .def("write", &ModuleCopies::write)
      .def("read", &ModuleCopies::read)
      .def("is_unchanged", &ModuleCopies::is_unchanged);
}

}  // namespace hogwild
