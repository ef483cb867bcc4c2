// hogwild._C: Full Normalization. Takes plain pointers and releases the GIL; hogwild/kernels/norm.py checks arguments.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "cpu/kernels.h"
#include "norm_call.h"

namespace py = pybind11;

namespace hogwild {
namespace {

using Address = uintptr_t;

void* pointer(Address address) { return reinterpret_cast<void*>(address); }

NormShape make_shape(const std::array<int64_t, 3>& shape) { return {shape[0], shape[1], shape[2]}; }

}  // namespace

void bind_norm(py::module_& m) {
  m.def("norm_forward", [](const char* master, const char* input, const std::array<int64_t, 3>& shape,
                           const std::array<Address, 8>& at,  // x, weight, bias, y, saved, mu, nu, count
                           double alpha, double decay, double eps, int device, Address stream) {
    const NormForward call{named<Dtype>(master),
                           named<Dtype>(input),
                           make_shape(shape),
                           pointer(at[0]),
                           pointer(at[1]),
                           pointer(at[2]),
                           pointer(at[3]),
                           pointer(at[4]),
                           pointer(at[5]),
                           pointer(at[6]),
                           static_cast<int64_t*>(pointer(at[7])),
                           {alpha, decay},
                           eps,
                           device,
                           stream};
    const py::gil_scoped_release release;
    if (device < 0)
      cpu::kernels().norm_forward(call, std::vector<double>(5 * shape[1]).data());
    else
      cuda::norm_forward(call);
  });
  m.def(
      "norm_backward",
      [](const char* master, const char* input, const std::array<int64_t, 3>& shape,
         const std::array<Address, 10>& at,  // g, x, weight, saved, dx, weight_grad, bias_grad, mu_grad, nu_grad, count
         double alpha, double decay, int device, Address stream) {
        const NormBackward call{named<Dtype>(master),
                                named<Dtype>(input),
                                make_shape(shape),
                                pointer(at[0]),
                                pointer(at[1]),
                                pointer(at[2]),
                                pointer(at[3]),
                                pointer(at[4]),
                                pointer(at[5]),
                                pointer(at[6]),
                                pointer(at[7]),
                                pointer(at[8]),
                                static_cast<int64_t*>(pointer(at[9])),
                                {alpha, decay},
                                device,
                                stream};
        const py::gil_scoped_release release;
        if (device < 0)
          cpu::kernels().norm_backward(call, std::vector<double>(5 * shape[1]).data());
        else
          cuda::norm_backward(call);
      });
}

}  // namespace hogwild
