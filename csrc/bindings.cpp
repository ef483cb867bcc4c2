// hogwild._C: plain pointers in, statistics out, the GIL released. Arguments are checked in hogwild/kernels/,
// the mathematics lives in push.h and mix.h.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>

#include "cpu/kernels.h"
#include "cpu/push.h"
#include "cuda/push.h"
#include "robust_mutex.h"
#include "rule.h"

namespace py = pybind11;

namespace hogwild {

void bind_control(py::module_& m);  // control_bindings.cpp

namespace {

using Address = uintptr_t;

void* pointer(Address address) { return reinterpret_cast<void*>(address); }

std::vector<const void*> pointers(const std::vector<Address>& addresses) {
  std::vector<const void*> result;
  for (const Address address : addresses) result.push_back(pointer(address));
  return result;
}

using Addresses = std::array<Address, 4>;  // x, snapshot, v, s; 0 where there is none
using Segments = std::vector<std::pair<int64_t, int64_t>>;
using Locks = std::pair<Address, int64_t>;

PushPlan make_plan(const Rule& rule, const Addresses& at, const Segments& segments, const Locks& locks) {
  PushPlan plan{
      rule, {pointer(at[0]), pointer(at[1]), pointer(at[2]), pointer(at[3])}, {}, nullptr, locks.second};
  for (const auto& [offset, numel] : segments) plan.segments.push_back({offset, numel});
  plan.stripes = static_cast<RobustMutex*>(pointer(locks.first));
  return plan;
}

// A plan in host memory; the counterpart of cuda::Push.
class CpuPush {
 public:
  explicit CpuPush(PushPlan plan) : plan_(std::move(plan)) {}
  void run(const PushCall& call) { stats_ = cpu::push(plan_, call); }
  PushStats stats() const { return stats_; }

 private:
  PushPlan plan_;
  PushStats stats_;
};

void bind_types(py::module_& m) {
  py::class_<Rule>(m, "Rule").def(
      py::init([](const char* master, const char* penalty, const char* momentum_kind, const char* access,
                  const char* guard, double momentum, double dampening, bool torch_first_step,
                  double gap_decay, double gap_eps, bool penalize_decay) {
        return Rule{dtype_named(master),
                    penalty_named(penalty),
                    momentum_named(momentum_kind),
                    access_named(access),
                    guard_named(guard),
                    momentum,
                    dampening,
                    torch_first_step,
                    gap_decay,
                    gap_eps,
                    penalize_decay};
      }),
      py::kw_only(), py::arg("master"), py::arg("penalty"), py::arg("momentum_kind"), py::arg("access"),
      py::arg("guard"), py::arg("momentum"), py::arg("dampening"), py::arg("torch_first_step"),
      py::arg("gap_decay"), py::arg("gap_eps"), py::arg("penalize_decay"));

  py::class_<PushStats>(m, "PushStats")
      .def_readonly("applied", &PushStats::applied)
      .def_readonly("nonfinite", &PushStats::nonfinite)
      .def_readonly("gap_sq", &PushStats::gap_sq)
      .def_readonly("step_sq", &PushStats::step_sq)
      .def_readonly("recovered", &PushStats::recovered)
      .def("__repr__", [](const PushStats& s) {
        return py::str("PushStats(applied={}, nonfinite={}, gap_sq={}, step_sq={}, recovered={})")
            .format(s.applied, s.nonfinite, s.gap_sq, s.step_sq, s.recovered);
      });
}

template <class Class>
void bind_calls(Class& c) {
  using Push = typename Class::type;
  c.def("run", [](Push& push, const std::vector<Address>& grads, const char* gradient, double lr,
                  double weight_decay, int64_t pushes, double lr_max, bool first_step, int64_t start,
                  int64_t stop, Address stream) {
    const PushCall call{
        pointers(grads), dtype_named(gradient), lr, weight_decay, lr_max, pushes, first_step, start, stop,
        stream};
    const py::gil_scoped_release release;
    push.run(call);
  });
  c.def("stats", &Push::stats, py::call_guard<py::gil_scoped_release>());
}

void bind_push(py::module_& m) {
  py::class_<CpuPush> on_cpu(m, "CpuPush");
  on_cpu.def(py::init([](const Rule& rule, const Addresses& at, const Segments& segments,
                         const Locks& stripes) { return CpuPush(make_plan(rule, at, segments, stripes)); }));
  bind_calls(on_cpu);

  py::class_<cuda::Push> on_cuda(m, "CudaPush");
  on_cuda.def(py::init([](const Rule& rule, const Addresses& at, const Segments& segments, int device) {
    return cuda::Push(make_plan(rule, at, segments, {}), device);
  }));
  bind_calls(on_cuda);
}

void bind_mix(py::module_& m) {
  m.def("weighted_sum",
        [](const char* dtype, Address out, const std::vector<Address>& inputs,
           const std::vector<double>& weights, int64_t start, int64_t stop, int device, Address stream) {
          const py::gil_scoped_release release;
          if (device < 0)
            cpu::weighted_sum(dtype_named(dtype), pointer(out), pointers(inputs), weights, start, stop);
          else
            cuda::weighted_sum(dtype_named(dtype), pointer(out), pointers(inputs), weights, start, stop,
                               device, stream);
        });
  m.def("copy", [](const char* dtype, Address out, Address in, int64_t start, int64_t stop, int device,
                   Address stream) {
    const py::gil_scoped_release release;
    if (device < 0)
      cpu::copy(dtype_named(dtype), pointer(out), pointer(in), start, stop);
    else
      cuda::copy(dtype_named(dtype), pointer(out), pointer(in), start, stop, device, stream);
  });
  m.def("count_nonfinite", [](const char* dtype, Address g, int64_t n, int device, Address stream) {
    const py::gil_scoped_release release;
    return device < 0 ? cpu::count_nonfinite(dtype_named(dtype), pointer(g), n)
                      : cuda::count_nonfinite(dtype_named(dtype), pointer(g), n, device, stream);
  });
}

void bind_build(py::module_& m) {
  m.attr("STRIPE") = cpu::kStripe;
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
  hogwild::bind_types(m);
  hogwild::bind_push(m);
  hogwild::bind_mix(m);
  hogwild::bind_build(m);
  hogwild::bind_control(m);
}
