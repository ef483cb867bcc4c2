// hogwild._C: takes addresses by name (calls.h), returns statistics, releases the GIL. Arguments are checked in
// hogwild/kernels/; the mathematics is in push.h and mix.h. This file binds averages, pair averages and build facts,
// and makes the module.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cpu/kernels.h"
#include "cpu/pair.h"
#include "cpu/push.h"
#include "cuda/push.h"
#include "named.h"
#include "robust_mutex.h"

namespace py = pybind11;

namespace hogwild {

void bind_control(py::module_& m);   // control_bindings.cpp
void bind_exchange(py::module_& m);  // exchange_bindings.cpp
void bind_norm(py::module_& m);      // norm_bindings.cpp
void bind_placed(py::module_& m);    // placed_bindings.cpp
void bind_push(py::module_& m);      // push_bindings.cpp
void bind_rows(py::module_& m);      // rows_bindings.cpp
void bind_copies(py::module_& m);    // module_copies.cpp
void bind_watch(py::module_& m);     // parameter_watch.cpp

namespace {

void bind_mix(py::module_& m) {
  m.def("weighted_sum", [](const py::dict& given) {
    WeightedSumCall call;
    Named values(given);
    HOGWILD_READ(HOGWILD_WEIGHTED_SUM, values, call);
    values.finish("weighted_sum");
    const py::gil_scoped_release release;
    call.device < 0 ? cpu::weighted_sum(call) : cuda::weighted_sum(call);
  });
  m.def("copy", [](const py::dict& given) {
    CopyCall call;
    Named values(given);
    HOGWILD_READ(HOGWILD_COPY, values, call);
    values.finish("copy");
    const py::gil_scoped_release release;
    call.device < 0 ? cpu::copy(call) : cuda::copy(call);
  });
  m.def("count_nonfinite", [](const py::dict& given) {
    CountCall call;
    Named values(given);
    HOGWILD_READ(HOGWILD_COUNT_NONFINITE, values, call);
    values.finish("count_nonfinite");
    const py::gil_scoped_release release;
    return call.device < 0 ? cpu::count_nonfinite(call) : cuda::count_nonfinite(call);
  });
}

void bind_pair(py::module_& m) {
  m.def("pair_average", [](const py::dict& given) {
    PairCall call;
    Named values(given);
    HOGWILD_READ(HOGWILD_PAIR_AVERAGE, values, call);
    values.finish("pair_average");
    PairStats stats;
    {
      const py::gil_scoped_release release;
      stats = call.device < 0 ? cpu::pair_average(call) : cuda::pair_average(call);
    }
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
  hogwild::bind_rows(m);
  hogwild::bind_mix(m);
  hogwild::bind_exchange(m);
  hogwild::bind_pair(m);
  hogwild::bind_norm(m);
  hogwild::bind_placed(m);
  hogwild::bind_build(m);
  hogwild::bind_control(m);
  hogwild::bind_watch(m);
  hogwild::bind_copies(m);
}
