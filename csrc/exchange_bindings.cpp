// hogwild._C: exchanges and diffusions. Takes plain pointers and releases the GIL; hogwild/kernels/ checks arguments.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "cpu/exchange.h"
#include "cuda/exchange.h"

namespace py = pybind11;

namespace hogwild {

void bind_exchange(py::module_& m);

namespace {

using Address = uintptr_t;

void* pointer(Address address) { return reinterpret_cast<void*>(address); }

int64_t exchange(const char* kind, const char* dtype, const char* access, const std::array<Address, 4>& at,
                 const std::array<double, 3>& rates, const std::pair<Address, int64_t>& stripes, int64_t start,
                 int64_t stop, int device, Address stream) {
  const ExchangeCall call{named<ExchangeKind>(kind),
                          named<Dtype>(dtype),
                          named<AccessKind>(access),
                          {pointer(at[0]), pointer(at[1]), pointer(at[2]), pointer(at[3])},
                          fold_rates(rates[0], rates[1], rates[2]),
                          static_cast<RobustMutex*>(pointer(stripes.first)),
                          stripes.second,
                          start,
                          stop};
  const py::gil_scoped_release release;
  if (device < 0) return cpu::exchange(call);
  cuda::exchange(call, device, stream);
  return 0;
}

void diffuse(const char* dtype, Address out, Address own, Address correction, const std::vector<Address>& neighbours,
             const std::vector<double>& weights, int64_t start, int64_t stop, int device, Address stream) {
  std::vector<const void*> inputs;
  for (const Address address : neighbours) inputs.push_back(pointer(address));
  const DiffusionCall call{named<Dtype>(dtype),
                           pointer(out),
                           pointer(own),
                           pointer(correction),
                           inputs.data(),
                           weights.data(),
                           static_cast<int64_t>(inputs.size()),
                           start,
                           stop};
  const py::gil_scoped_release release;
  if (device < 0)
    cpu::diffuse(call);
  else
    cuda::diffuse(call, device, stream);
}

}  // namespace

void bind_exchange(py::module_& m) {
  m.def("exchange", &exchange);
  m.def("diffuse", &diffuse);
}

}  // namespace hogwild
