// hogwild._C: Full Normalization. Takes dicts, with the names of norm_call.h, and releases the GIL; hogwild/kernels/
// checks arguments.
#include <vector>

#include "cpu/kernels.h"
#include "named.h"
#include "norm_call.h"

namespace py = pybind11;

namespace hogwild {

void bind_norm(py::module_& m);

namespace {

void norm_forward(const py::dict& given) {
  NormForward call;
  Named values(given);
  HOGWILD_READ(HOGWILD_NORM_FORWARD, values, call);
  HOGWILD_READ(HOGWILD_NORM_SHAPE, values, call.shape);
  HOGWILD_READ(HOGWILD_NORM_FORGETTING, values, call.forgetting);
  values.finish("norm_forward");
  const py::gil_scoped_release release;
  if (call.device < 0)
    cpu::kernels().norm_forward(call, std::vector<double>(5 * static_cast<size_t>(call.shape.channels)).data());
  else
    cuda::norm_forward(call);
}

void norm_backward(const py::dict& given) {
  NormBackward call;
  Named values(given);
  HOGWILD_READ(HOGWILD_NORM_BACKWARD, values, call);
  HOGWILD_READ(HOGWILD_NORM_SHAPE, values, call.shape);
  HOGWILD_READ(HOGWILD_NORM_FORGETTING, values, call.forgetting);
  values.finish("norm_backward");
  const py::gil_scoped_release release;
  if (call.device < 0)
    cpu::kernels().norm_backward(call, std::vector<double>(5 * static_cast<size_t>(call.shape.channels)).data());
  else
    cuda::norm_backward(call);
}

}  // namespace

void bind_norm(py::module_& m) {
  m.def("norm_forward", &norm_forward);
  m.def("norm_backward", &norm_backward);
}

}  // namespace hogwild
