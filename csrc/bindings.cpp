// hogwild._C: takes plain pointers, returns statistics, releases the GIL. Arguments are checked in hogwild/kernels/;
// the mathematics is in push.h and mix.h. This file binds averages, pair averages and build facts, and makes the
// module.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cpu/kernels.h"
#include "cpu/pair.h"
#include "cpu/push.h"
#include "cuda/push.h"
#include "robust_mutex.h"

namespace py = pybind11;

namespace hogwild {

void bind_control(py::module_& m);   // control_bindings.cpp
void bind_exchange(py::module_& m);  // exchange_bindings.cpp
void bind_norm(py::module_& m);      // norm_bindings.cpp
void bind_placed(py::module_& m);    // placed_bindings.cpp
void bind_push(py::module_& m);      // push_bindings.cpp

namespace {

using Address = uintptr_t;

void* pointer(Address address) { return reinterpret_cast<void*>(address); }

std::vector<const void*> pointers(const std::vector<Address>& addresses) {
  std::vector<const void*> result;
  for (const Address address : addresses) result.push_back(pointer(address));
  return result;
}

void bind_mix(py::module_& m) {
  m.def(
      "weighted_sum", [](const char* dtype, Address out, const std::vector<Address>& inputs,
                         const std::vector<double>& weights, int64_t start, int64_t stop, int device, Address stream) {
        const py::gil_scoped_release release;
        if (device < 0)
          cpu::weighted_sum(named<Dtype>(dtype), pointer(out), pointers(inputs), weights, start, stop);
        else
          cuda::weighted_sum(named<Dtype>(dtype), pointer(out), pointers(inputs), weights, start, stop, device, stream);
      });
  m.def("copy",
        [](const char* dtype, Address out, Address in, int64_t start, int64_t stop, int device, Address stream) {
          const py::gil_scoped_release release;
          if (device < 0)
            cpu::copy(named<Dtype>(dtype), pointer(out), pointer(in), start, stop);
          else
            cuda::copy(named<Dtype>(dtype), pointer(out), pointer(in), start, stop, device, stream);
        });
  m.def("count_nonfinite", [](const char* dtype, Address g, int64_t n, int device, Address stream) {
    const py::gil_scoped_release release;
    return device < 0 ? cpu::count_nonfinite(named<Dtype>(dtype), pointer(g), n)
                      : cuda::count_nonfinite(named<Dtype>(dtype), pointer(g), n, device, stream);
  });
}

void bind_pair(py::module_& m) {
  m.def("pair_average", [](const char* dtype, Address a, Address b, double weight, Address locks_a, Address locks_b,
                           int64_t n_locks, bool waits, int64_t start, int64_t stop, int device, Address stream) {
    const auto run = [&] {
      const py::gil_scoped_release release;
      if (device >= 0)
        return cuda::pair_average(named<Dtype>(dtype), pointer(a), pointer(b), weight, start, stop, device, stream);
      const cpu::PairLocks locks{static_cast<RobustMutex*>(pointer(locks_a)),
                                 static_cast<RobustMutex*>(pointer(locks_b)), n_locks, waits};
      return cpu::pair_average(named<Dtype>(dtype), pointer(a), pointer(b), weight, locks, start, stop);
    };
    const PairStats stats = run();
    return std::make_tuple(stats.averaged, stats.skipped, stats.recovered);
  });
}

void bind_build(py::module_& m) {
  m.attr("STRIPE") = cpu::kStripe;
  m.attr("LOCK_BYTES") = sizeof(RobustMutex);
  m.def("isa", [] { return cpu::kernels().isa; });
  m.def("use_isa", &cpu::use_isa);
  py::dict build;
  build["cuda"] = *cuda::architectures() != '\0';
  build["cuda_archs"] = cuda::architectures();
  build["debug"] = HOGWILD_DEBUG;
#ifdef __clang__
  build["compiler"] = __VERSION__;
#else
  build["compiler"] = "GCC " __VERSION__;
#endif
  build["isa"] = cpu::available_isas();
  m.attr("build") = build;
}

}  // namespace
}  // namespace hogwild

PYBIND11_MODULE(_C, m) {
  hogwild::cpu::kernels();  // a wrong HOGWILD_ISA is an error now, not at the first push
  hogwild::bind_push(m);
  hogwild::bind_mix(m);
  hogwild::bind_exchange(m);
  hogwild::bind_pair(m);
  hogwild::bind_norm(m);
  hogwild::bind_placed(m);
  hogwild::bind_build(m);
  hogwild::bind_control(m);
}
