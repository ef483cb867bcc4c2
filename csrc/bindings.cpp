// hogwild._C: plain pointers in, statistics out, the GIL released. Arguments are checked in hogwild/kernels/, the
// mathematics lives in push.h and mix.h.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

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

PushPlan make_plan(const Rule& rule, Address x, Address snapshot, Address v, Address s,
                   const std::vector<std::pair<int64_t, int64_t>>& segments, Address stripes, int64_t n_stripes) {
  PushPlan plan{rule, {pointer(x), pointer(snapshot), pointer(v), pointer(s)}, {}, nullptr, n_stripes};
  for (const auto& [offset, numel] : segments) plan.segments.push_back({offset, numel});
  plan.stripes = static_cast<RobustMutex*>(pointer(stripes));
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
  py::enum_<Dtype>(m, "Dtype")
      .value("float32", Dtype::float32)
      .value("bfloat16", Dtype::bfloat16)
      .value("float64", Dtype::float64);
  py::enum_<PenaltyKind>(m, "Penalty").value("none", PenaltyKind::none).value("gap", PenaltyKind::gap);
  py::enum_<MomentumKind>(m, "Momentum")
      .value("none", MomentumKind::none)
      .value("heavy_ball", MomentumKind::heavy_ball)
      .value("nesterov", MomentumKind::nesterov);
  py::enum_<AccessKind>(m, "Access")
      .value("racing", AccessKind::racing)
      .value("atomic", AccessKind::atomic)
      .value("striped", AccessKind::striped);
  py::enum_<GuardKind>(m, "Guard").value("push", GuardKind::push).value("element", GuardKind::element);

  py::class_<Rule>(m, "Rule")
      .def(py::init<>())
      .def_readwrite("master", &Rule::master)
      .def_readwrite("penalty", &Rule::penalty)
      .def_readwrite("momentum_kind", &Rule::momentum_kind)
      .def_readwrite("access", &Rule::access)
      .def_readwrite("guard", &Rule::guard)
      .def_readwrite("momentum", &Rule::momentum)
      .def_readwrite("dampening", &Rule::dampening)
      .def_readwrite("torch_first_step", &Rule::torch_first_step)
      .def_readwrite("gap_decay", &Rule::gap_decay)
      .def_readwrite("gap_eps", &Rule::gap_eps)
      .def_readwrite("penalize_decay", &Rule::penalize_decay);

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
  c.def("run",
        [](Push& push, const std::vector<Address>& grads, Dtype gradient, double lr, double weight_decay,
           int64_t pushes, double lr_max, bool first_step, int64_t start, int64_t stop, Address stream) {
          const PushCall call{pointers(grads), gradient,   lr,    weight_decay, lr_max,
                              pushes,          first_step, start, stop,         stream};
          const py::gil_scoped_release release;
          push.run(call);
        });
  c.def("stats", &Push::stats, py::call_guard<py::gil_scoped_release>());
}

void bind_push(py::module_& m) {
  using Segments = std::vector<std::pair<int64_t, int64_t>>;
  py::class_<CpuPush> on_cpu(m, "CpuPush");
  on_cpu.def(py::init([](const Rule& rule, Address x, Address snapshot, Address v, Address s, const Segments& segments,
                         Address stripes, int64_t n_stripes) {
    return CpuPush(make_plan(rule, x, snapshot, v, s, segments, stripes, n_stripes));
  }));
  bind_calls(on_cpu);

  py::class_<cuda::Push> on_cuda(m, "CudaPush");
  on_cuda.def(py::init([](const Rule& rule, Address x, Address snapshot, Address v, Address s,
                          const Segments& segments, int device) {
    return cuda::Push(make_plan(rule, x, snapshot, v, s, segments, 0, 0), device);
  }));
  bind_calls(on_cuda);
}

void bind_mix(py::module_& m) {
  m.def("weighted_sum", [](Dtype dtype, Address out, const std::vector<Address>& inputs,
                           const std::vector<double>& weights, int64_t start, int64_t stop, int device, Address stream) {
    const py::gil_scoped_release release;
    if (device < 0)
      cpu::weighted_sum(dtype, pointer(out), pointers(inputs), weights, start, stop);
    else
      cuda::weighted_sum(dtype, pointer(out), pointers(inputs), weights, start, stop, device, stream);
  });
  m.def("copy", [](Dtype dtype, Address out, Address in, int64_t start, int64_t stop, int device, Address stream) {
    const py::gil_scoped_release release;
    if (device < 0)
      cpu::copy(dtype, pointer(out), pointer(in), start, stop);
    else
      cuda::copy(dtype, pointer(out), pointer(in), start, stop, device, stream);
  });
  m.def("count_nonfinite", [](Dtype dtype, Address g, int64_t n, int device, Address stream) {
    const py::gil_scoped_release release;
    return device < 0 ? cpu::count_nonfinite(dtype, pointer(g), n)
                      : cuda::count_nonfinite(dtype, pointer(g), n, device, stream);
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
  build["compiler"] = "g++ or clang++ " __VERSION__;
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
