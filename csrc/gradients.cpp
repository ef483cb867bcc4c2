#include "gradients.h"

#include <utility>

namespace py = pybind11;

namespace hogwild {

GradientTable::GradientTable(const py::type& tensor, std::vector<int64_t> numels, Dtype master, int device)
    : reader_(tensor, device),
      numels_(std::move(numels)),
      master_(master),
      addresses_(numels_.size()),
      dtype_(master) {}

bool GradientTable::read_one(PyObject* grad, size_t k, bool& is_first) {
  DLTensor tensor;
  if (!reader_.read(grad, tensor)) return false;
  const std::optional<Dtype> dtype = gradient_type(tensor, master_);
  if (!dtype || (!is_first && *dtype != dtype_)) return false;
  const auto* start = reinterpret_cast<const void*>(address(tensor));
  if (numel(tensor) != numels_[k] || (start == nullptr && numels_[k] != 0)) return false;
  addresses_[k] = start;
  dtype_ = *dtype;
  is_first = false;
  return true;
}

bool GradientTable::read(const py::sequence& grads) {
  const py::object fast =
      py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "gradients: expected a sequence"));
  if (!fast) throw py::error_already_set();
  const auto count = static_cast<size_t>(PySequence_Fast_GET_SIZE(fast.ptr()));
  if (!reader_.can_read() || count != numels_.size()) return false;
  bool is_first = true;
  dtype_ = master_;
  for (size_t k = 0; k < count; ++k) {
    PyObject* grad = PySequence_Fast_GET_ITEM(fast.ptr(), static_cast<Py_ssize_t>(k));
    if (grad == Py_None)
      addresses_[k] = nullptr;
    else if (!read_one(grad, k, is_first))
      return false;
  }
  return true;
}

void GradientTable::set(const std::vector<uintptr_t>& addresses, Dtype dtype) {
  for (size_t k = 0; k < addresses_.size(); ++k) addresses_[k] = reinterpret_cast<const void*>(addresses.at(k));
  dtype_ = dtype;
}

}  // namespace hogwild
