#include "torch_tensors.h"

namespace py = pybind11;

namespace hogwild {
namespace {

constexpr std::uint8_t kDLInt = 0, kDLFloat = 2, kDLBfloat = 4;

// The head of DLPack's DLPackExchangeAPI; every version 1.x keeps this layout.
struct ExchangeFunctions {
  std::uint32_t major, minor;
  const void* older;
  void *allocate, *to_managed, *from_managed;
  Describe describe;
};

}  // namespace

Describe describe_function(const py::type& tensor) {
  const py::object offered = py::getattr(tensor, "__dlpack_c_exchange_api__", py::none());
  if (!PyCapsule_IsValid(offered.ptr(), "dlpack_exchange_api")) return nullptr;
  const auto* functions =
      static_cast<const ExchangeFunctions*>(PyCapsule_GetPointer(offered.ptr(), "dlpack_exchange_api"));
  return functions->major == 1 ? functions->describe : nullptr;
}

bool is_contiguous(const DLTensor& tensor) {
  if (tensor.strides == nullptr) return true;
  std::int64_t expected = 1;
  for (int d = tensor.ndim - 1; d >= 0; --d) {
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

std::int64_t numel(const DLTensor& tensor) {
  std::int64_t count = 1;
  for (int d = 0; d < tensor.ndim; ++d) count *= tensor.shape[d];
  return count;
}

std::uintptr_t address(const DLTensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
}

TensorReader::TensorReader(const py::type& tensor, int device)
    : tensor_(tensor), describe_(describe_function(tensor)), device_(device) {}

bool TensorReader::read(PyObject* object, DLTensor& out) const {
  if (Py_TYPE(object) != reinterpret_cast<PyTypeObject*>(tensor_.ptr())) return false;
  if (describe_(object, &out) != 0) {
    PyErr_Clear();
    return false;
  }
  const bool is_here = device_ < 0 ? out.device_type == kDLCpu : out.device_type == kDLCuda && out.device_id == device_;
  return is_here && is_contiguous(out);
}

std::optional<Dtype> gradient_type(const DLTensor& tensor, Dtype master) {
  if (tensor.lanes != 1) return std::nullopt;
  if (tensor.code == kDLBfloat && tensor.bits == 16 && master == Dtype::float32) return Dtype::bfloat16;
  if (tensor.code == kDLFloat && tensor.bits == (master == Dtype::float64 ? 64 : 32)) return master;
  return std::nullopt;
}

bool is_int64(const DLTensor& tensor) { return tensor.code == kDLInt && tensor.bits == 64 && tensor.lanes == 1; }

Held::Held(const py::list& entries) {
  for (const auto& item : entries) {
    const auto entry = py::cast<py::tuple>(item);
    entries_.push_back({entry[0], entry[1], entry[2]});
  }
}

bool Held::same() const {
  for (const Entry& entry : entries_)
    if (PyDict_GetItemWithError(entry.dict.ptr(), entry.name.ptr()) != entry.value.ptr()) {
      if (PyErr_Occurred() != nullptr) throw py::error_already_set();
      return false;
    }
  return true;
}

}  // namespace hogwild
