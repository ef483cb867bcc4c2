// hogwild._C: plain pointers in, statistics out, the GIL released. Arguments are checked in hogwild/kernels/, the
// mathematics lives in push.h and mix.h.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>

#include "cpu/kernels.h"
#include "cpu/pair.h"
#include "cpu/push.h"
#include "cuda/push.h"
#include "gradients.h"
#include "robust_mutex.h"
#include "rule.h"

namespace py = pybind11;

namespace hogwild {

void bind_control(py::module_& m);   // control_bindings.cpp
void bind_exchange(py::module_& m);  // exchange_bindings.cpp
void bind_norm(py::module_& m);      // norm_bindings.cpp
void bind_placed(py::module_& m);    // placed_bindings.cpp

namespace {

using Address = uintptr_t;

void* pointer(Address address) { return reinterpret_cast<void*>(address); }

std::vector<const void*> pointers(const std::vector<Address>& addresses) {
  std::vector<const void*> result;
  for (const Address address : addresses) result.push_back(pointer(address));
  return result;
}

using Addresses = std::array<Address, 9>;  // x, snapshot, v, s, ms, v_sum, b, center, gap_state; 0: there is none
using Segments = std::vector<std::pair<int64_t, int64_t>>;
using Locks = std::pair<Address, int64_t>;

PushPlan make_plan(const Rule& rule, const Addresses& at, const Segments& segments, const Locks& locks) {
  PushPlan plan;
  plan.rule = rule;
  plan.buffers = {pointer(at[0]), pointer(at[1]), pointer(at[2]), pointer(at[3]),
                  pointer(at[4]), pointer(at[5]), pointer(at[6]), pointer(at[7])};
  plan.gap_state = static_cast<NormGapState*>(pointer(at[8]));
  for (const auto& [offset, numel] : segments) plan.segments.push_back({offset, numel});
  plan.stripes = static_cast<RobustMutex*>(pointer(locks.first));
  plan.n_stripes = locks.second;
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

// A choice, set by its name.
template <class Kind>
void named_field(py::class_<Rule>& c, const char* name, Kind Rule::* field, Kind (*parse)(std::string_view)) {
  c.def_property(name, nullptr, [field, parse](Rule& rule, const char* text) { rule.*field = parse(text); });
}

void bind_types(py::module_& m) {
  py::class_<Rule> rule(m, "Rule");
  rule.def(py::init<>());
  named_field(rule, "master", &Rule::master, dtype_named);
  named_field(rule, "compensation", &Rule::compensation, compensation_named);
  named_field(rule, "penalty", &Rule::penalty, penalty_named);
  named_field(rule, "momentum_kind", &Rule::momentum_kind, momentum_named);
  named_field(rule, "access", &Rule::access, access_named);
  named_field(rule, "guard", &Rule::guard, guard_named);
  named_field(rule, "unit", &Rule::unit, unit_named);
  rule.def_readwrite("momentum", &Rule::momentum)
      .def_readwrite("dampening", &Rule::dampening)
      .def_readwrite("torch_first_step", &Rule::torch_first_step)
      .def_readwrite("workers", &Rule::workers)
      .def_readwrite("gap_decay", &Rule::gap_decay)
      .def_readwrite("gap_eps", &Rule::gap_eps)
      .def_readwrite("penalize_decay", &Rule::penalize_decay)
      .def_readwrite("gap_lagged", &Rule::gap_lagged)
      .def_readwrite("lam", &Rule::lam)
      .def_readwrite("ms_decay", &Rule::ms_decay)
      .def_readwrite("ms_eps", &Rule::ms_eps)
      .def_readwrite("power_one", &Rule::power_one)
      .def_readwrite("elastic", &Rule::elastic)
      .def_readwrite("cooperative", &Rule::cooperative);

  py::class_<PushStats>(m, "PushStats")
      .def_readonly("applied", &PushStats::applied)
      .def_readonly("nonfinite", &PushStats::nonfinite)
      .def_readonly("gap_sq", &PushStats::gap_sq)
      .def_readonly("step_sq", &PushStats::step_sq)
      .def_readonly("grad_norm", &PushStats::grad_norm)
      .def_readonly("penalty", &PushStats::penalty)
      .def_readonly("recovered", &PushStats::recovered)
      .def("__repr__", [](const PushStats& s) {
        return py::str(
                   "PushStats(applied={}, nonfinite={}, gap_sq={}, step_sq={}, grad_norm={}, penalty={}, recovered={})")
            .format(s.applied, s.nonfinite, s.gap_sq, s.step_sq, s.grad_norm, s.penalty, s.recovered);
      });
}

template <class Class>
void bind_calls(Class& c) {
  using Push = typename Class::type;
  c.def("run", [](Push& push, const GradientTable& grads, double lr, double weight_decay, int64_t pushes, double lr_max,
                  bool first_step, double scale, double clip, int64_t delay, double ahead_v, double ahead_b,
                  double alpha, int64_t start, int64_t stop, Address stream) {
    const PushCall call{
        grads.addresses(), grads.dtype(), lr,    weight_decay, lr_max, pushes, first_step, scale, clip, delay,
        ahead_v,           ahead_b,       alpha, start,        stop,   stream};
    const py::gil_scoped_release release;
    push.run(call);
  });
  c.def("stats", &Push::stats, py::call_guard<py::gil_scoped_release>());
}

void bind_gradients(py::module_& m) {
  py::class_<GradientTable>(m, "GradientTable")
      .def(py::init([](const py::type& tensor, std::vector<int64_t> numels, const char* master, int device) {
        return GradientTable(tensor, std::move(numels), dtype_named(master), device);
      }))
      .def("read", &GradientTable::read)
      .def("set", [](GradientTable& table, const std::vector<Address>& addresses, const char* dtype) {
        table.set(addresses, dtype_named(dtype));
      });
}

void bind_push(py::module_& m) {
  py::class_<CpuPush> on_cpu(m, "CpuPush");
  on_cpu.def(py::init([](const Rule& rule, const Addresses& at, const Segments& segments, const Locks& stripes) {
    return CpuPush(make_plan(rule, at, segments, stripes));
  }));
  bind_calls(on_cpu);

  py::class_<cuda::Push> on_cuda(m, "CudaPush");
  on_cuda.def(py::init([](const Rule& rule, const Addresses& at, const Segments& segments, int device) {
    return cuda::Push(make_plan(rule, at, segments, {}), device);
  }));
  bind_calls(on_cuda);
  on_cuda
      .def("capture",
           [](cuda::Push& push, const GradientTable& grads, Address stream) {
             PushCall call;
             call.grads = grads.addresses();
             call.gradient = grads.dtype();
             call.stream = stream;
             push.capture(call);
           })
      .def("prepare",
           [](cuda::Push& push, double lr, double weight_decay, int64_t pushes, double lr_max, bool first_step,
              double scale, double clip, int64_t delay, double ahead_v, double ahead_b, double alpha, Address stream) {
             const PushCall call{{},   Dtype::float32, lr,      weight_decay, lr_max, pushes, first_step, scale,
                                 clip, delay,          ahead_v, ahead_b,      alpha,  0,      0,          stream};
             push.prepare(call);
           })
      .def("replayed", &cuda::Push::replayed)
      .def_property_readonly("is_cooperative", &cuda::Push::is_cooperative);
}

void bind_mix(py::module_& m) {
  m.def(
      "weighted_sum", [](const char* dtype, Address out, const std::vector<Address>& inputs,
                         const std::vector<double>& weights, int64_t start, int64_t stop, int device, Address stream) {
        const py::gil_scoped_release release;
        if (device < 0)
          cpu::weighted_sum(dtype_named(dtype), pointer(out), pointers(inputs), weights, start, stop);
        else
          cuda::weighted_sum(dtype_named(dtype), pointer(out), pointers(inputs), weights, start, stop, device, stream);
      });
  m.def("copy",
        [](const char* dtype, Address out, Address in, int64_t start, int64_t stop, int device, Address stream) {
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

void bind_pair(py::module_& m) {
  m.def("pair_average", [](const char* dtype, Address a, Address b, double weight, Address locks_a, Address locks_b,
                           int64_t n_locks, bool waits, int64_t start, int64_t stop, int device, Address stream) {
    const auto run = [&] {
      const py::gil_scoped_release release;
      if (device >= 0)
        return cuda::pair_average(dtype_named(dtype), pointer(a), pointer(b), weight, start, stop, device, stream);
      const cpu::PairLocks locks{static_cast<RobustMutex*>(pointer(locks_a)),
                                 static_cast<RobustMutex*>(pointer(locks_b)), n_locks, waits};
      return cpu::pair_average(dtype_named(dtype), pointer(a), pointer(b), weight, locks, start, stop);
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
  hogwild::bind_types(m);
  hogwild::bind_gradients(m);
  hogwild::bind_push(m);
  hogwild::bind_mix(m);
  hogwild::bind_exchange(m);
  hogwild::bind_pair(m);
  hogwild::bind_norm(m);
  hogwild::bind_placed(m);
  hogwild::bind_build(m);
  hogwild::bind_control(m);
}
