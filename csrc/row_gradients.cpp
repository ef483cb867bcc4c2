#include "row_gradients.h"

#include <utility>

namespace py = pybind11;

namespace hogwild {

RowGradientTable::RowGradientTable(const py::type& tensor, std::vector<int64_t> dims, Dtype master, int device)
    : reader_(tensor, device), dims_(std::move(dims)), master_(master), gradients_(dims_.size()) {}

bool RowGradientTable::read_one(PyObject* grad, size_t k) {
  gradients_[k] = {};
  if (grad == Py_None) return true;
  if (!PyTuple_Check(grad) || PyTuple_GET_SIZE(grad) != 2) return false;
  DLTensor rows, values;
  if (!reader_.read(PyTuple_GET_ITEM(grad, 0), rows) || !reader_.read(PyTuple_GET_ITEM(grad, 1), values)) return false;
  const std::optional<Dtype> dtype = gradient_type(values, master_);
  if (!dtype || !is_int64(rows) || rows.ndim != 1 || values.ndim != 2) return false;
  const int64_t count = rows.shape[0];
  if (values.shape[0] != count || values.shape[1] != dims_[k]) return false;
  gradients_[k] = {reinterpret_cast<const int64_t*>(address(rows)), reinterpret_cast<const void*>(address(values)),
                   count, *dtype};
  return true;
}

bool RowGradientTable::read(const py::sequence& grads) {
  const py::object fast =
      py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "gradients: expected a sequence"));
  if (!fast) throw py::error_already_set();
  const auto count = static_cast<size_t>(PySequence_Fast_GET_SIZE(fast.ptr()));
  if (!reader_.can_read() || count != dims_.size()) return false;
  for (size_t k = 0; k < count; ++k)
    if (!read_one(PySequence_Fast_GET_ITEM(fast.ptr(), static_cast<Py_ssize_t>(k)), k)) return false;
  return true;
}

}  // namespace hogwild
