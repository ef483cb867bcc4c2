#include "dlpack.h"

#include <memory>

namespace py = pybind11;

namespace hogwild {
namespace {

struct View {
  DLManagedTensor managed{};
  std::int64_t shape = 0;
  py::object owner;
};

void drop(DLManagedTensor* managed) {
  auto* view = static_cast<View*>(managed->context);
  if (!Py_IsInitialized()) return;  // the tensor outlives Python, so the process is ending
  const py::gil_scoped_acquire gil;
  delete view;
}

}  // namespace

py::capsule as_dlpack(std::uintptr_t address, std::int64_t bytes, int device, py::object owner) {
  auto view = std::make_unique<View>();
  view->shape = bytes;
  view->owner = std::move(owner);
  DLTensor& tensor = view->managed.tensor;
  tensor.data = reinterpret_cast<void*>(address);
  tensor.device_type = device < 0 ? kDLCpu : kDLCuda;
  tensor.device_id = device < 0 ? 0 : device;
  tensor.ndim = 1;
  tensor.code = kDLUnsigned;
  tensor.bits = 8;
  tensor.lanes = 1;
  tensor.shape = &view->shape;
  view->managed.context = view.get();
  view->managed.deleter = drop;
  const py::capsule capsule(&view->managed, "dltensor", [](PyObject* unused) {
    // A consumer of the tensor renames the capsule and then calls the deleter itself.
    if (PyCapsule_IsValid(unused, "dltensor") != 0)
      drop(static_cast<DLManagedTensor*>(PyCapsule_GetPointer(unused, "dltensor")));
  });
  view.release();
  return capsule;
}

}  // namespace hogwild
