// hogwild._C: a push. Constants, buffers and scalars are passed in dicts and looked up by the names in lists.h.
#include <pybind11/stl.h>

#include <optional>

#include "cpu/push.h"
#include "cuda/push.h"
#include "gradients.h"
#include "named.h"
#include "robust_mutex.h"
#include "rule.h"

namespace py = pybind11;

namespace hogwild {

void bind_push(py::module_& m);

namespace {

using Address = uintptr_t;
using Addresses = std::vector<Address>;
using Segments = std::vector<std::pair<int64_t, int64_t>>;
using Locks = std::pair<Address, int64_t>;
using Groups = std::vector<std::pair<double, double>>;  // factors of lr and of weight decay, for each segment; or none

// Raises TypeError for an unknown name, and if a buffer that the stages use is missing.
void read_buffers(const py::dict& buffers, PushPlan& plan) {
  Named values(buffers);
#define HOGWILD_TAKE(name) values.take(HOGWILD_KEY(name), plan.buffers.name);
  HOGWILD_BUFFERS(HOGWILD_TAKE)
#undef HOGWILD_TAKE
  values.take(HOGWILD_KEY(gap_state), plan.gap_state);
  values.finish("a push");
  const unsigned needed = buffers_of(plan.rule, plan.buffers.snapshot != nullptr);
#define HOGWILD_REQUIRE(name)                                       \
  if ((needed & buffer::name) != 0 && plan.buffers.name == nullptr) \
    throw py::type_error("the stages of this push need the buffer " #name);
  HOGWILD_BUFFERS(HOGWILD_REQUIRE)
#undef HOGWILD_REQUIRE
  if (plan.rule.has_rows() && plan.gap_state == nullptr)
    throw py::type_error("the stages of this push need the buffer gap_state");
}

Rule make_rule(const py::kwargs& constants) {
  Rule rule;
  Named values(constants);
#define HOGWILD_TAKE(type, name, value) values.take(HOGWILD_KEY(name), rule.name);
  HOGWILD_RULE(HOGWILD_TAKE)
#undef HOGWILD_TAKE
  values.finish("a rule");
  return rule;
}

PushPlan make_plan(const Rule& rule, const py::dict& buffers, const Segments& segments, const Groups& groups,
                   const Locks& locks) {
  PushPlan plan;
  plan.rule = rule;
  read_buffers(buffers, plan);
  for (const auto& [offset, numel] : segments) plan.segments.push_back({offset, numel});
  for (size_t k = 0; k < groups.size(); ++k) {
    plan.segments.at(k).lr = groups[k].first;
    plan.segments.at(k).decay = groups[k].second;
  }
  plan.stripes = reinterpret_cast<RobustMutex*>(locks.first);
  plan.n_stripes = locks.second;
  return plan;
}

void read_scalars(const py::dict& scalars, PushCall& call) {
  Named values(scalars);
  HOGWILD_READ(HOGWILD_CALL, values, call);
  values.finish("a push");
}

// Reads the gradients' addresses from the tensors; without tensors, keeps those in the table. False: Python must check
// a tensor, and nothing was done.
bool read_gradients(GradientTable& table, const std::optional<py::sequence>& grads, PushCall& call) {
  if (grads && !table.read(*grads)) return false;
  call.grads = table.addresses();
  call.gradient = table.dtype();
  return true;
}

std::vector<const void*> pointers(const Addresses& addresses) {
  std::vector<const void*> found;
  for (const Address address : addresses) found.push_back(reinterpret_cast<const void*>(address));
  return found;
}

// A plan in host memory; the counterpart of cuda::Push.
class CpuPush {
 public:
  explicit CpuPush(PushPlan plan) : plan_(std::move(plan)) {}
  void run(const PushCall& call) { stats_ = cpu::push(plan_, call); }

  bool run_among(GradientTable& table, const std::optional<py::sequence>& grads, const py::dict& scalars,
                 const Addresses& neighbours, const std::vector<double>& weights) {
    PushCall call;
    if (!read_gradients(table, grads, call)) return false;
    read_scalars(scalars, call);
    const std::vector<const void*> others = pointers(neighbours);
    const py::gil_scoped_release release;
    stats_ = cpu::push_among(plan_, call, others, weights);
    return true;
  }

  void run_mean(const Addresses& inputs, const py::dict& scalars) {
    PushCall call;
    read_scalars(scalars, call);
    const std::vector<const void*> from = pointers(inputs);
    const py::gil_scoped_release release;
    stats_ = cpu::push_mean(plan_, std::move(call), from);
  }

  PushStats stats() const { return stats_; }

 private:
  PushPlan plan_;
  PushStats stats_;
};

// Gradients into the flat buffer x of a plan, which has no other stages. In host memory.
class CpuDeposit {
 public:
  CpuDeposit(Address x, const char* master, const Segments& segments) {
    plan_.rule.master = named<Dtype>(master);
    plan_.buffers.x = reinterpret_cast<void*>(x);
    for (const auto& [offset, numel] : segments) plan_.segments.push_back({offset, numel});
  }

  std::optional<int64_t> run(GradientTable& table, const std::optional<py::sequence>& grads, bool keeps) const {
    PushCall call;
    if (!read_gradients(table, grads, call)) return std::nullopt;
    const py::gil_scoped_release release;
    return cpu::deposit(plan_, call, keeps);
  }

 private:
  PushPlan plan_;
};

template <class Class>
void bind_calls(Class& c) {
  using Push = typename Class::type;
  c.def("run", [](Push& push, GradientTable& table, const std::optional<py::sequence>& grads, const py::dict& scalars,
                  Address stream) {
    PushCall call;
    if (!read_gradients(table, grads, call)) return false;
    read_scalars(scalars, call);
    call.stream = stream;
    const py::gil_scoped_release release;
    push.run(call);
    return true;
  });
  c.def("stats", &Push::stats, py::call_guard<py::gil_scoped_release>());
}

void bind_stats(py::module_& m) {
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

void bind_gradients(py::module_& m) {
  py::class_<GradientTable>(m, "GradientTable")
      .def(py::init([](const py::type& tensor, std::vector<int64_t> numels, const char* master, int device) {
        return GradientTable(tensor, std::move(numels), named<Dtype>(master), device);
      }))
      .def("read", &GradientTable::read)
      .def("set", [](GradientTable& table, const std::vector<Address>& addresses, const char* dtype) {
        table.set(addresses, named<Dtype>(dtype));
      });
}

}  // namespace

void bind_push(py::module_& m) {
  py::class_<Rule>(m, "Rule").def(py::init(&make_rule));
  bind_stats(m);
  bind_gradients(m);

  py::class_<CpuPush> on_cpu(m, "CpuPush");
  on_cpu.def(
      py::init([](const Rule& rule, const py::dict& buffers, const Segments& segments, const Groups& groups,
                  const Locks& stripes) { return CpuPush(make_plan(rule, buffers, segments, groups, stripes)); }));
  bind_calls(on_cpu);
  on_cpu.def("run_among", &CpuPush::run_among);
  on_cpu.def("run_mean", &CpuPush::run_mean);

  py::class_<CpuDeposit>(m, "CpuDeposit")
      .def(py::init<Address, const char*, const Segments&>())
      .def("run", &CpuDeposit::run);

  py::class_<cuda::Push> on_cuda(m, "CudaPush");
  on_cuda.def(py::init([](const Rule& rule, const py::dict& buffers, const Segments& segments, const Groups& groups,
                          int device) { return cuda::Push(make_plan(rule, buffers, segments, groups, {}), device); }));
  bind_calls(on_cuda);
  on_cuda
      .def("capture",
           [](cuda::Push& push, GradientTable& table, const std::optional<py::sequence>& grads, Address stream) {
             PushCall call;
             if (!read_gradients(table, grads, call)) return false;
             call.stream = stream;
             push.capture(call);
             return true;
           })
      .def("prepare",
           [](cuda::Push& push, const py::dict& scalars, Address stream) {
             PushCall call;
             read_scalars(scalars, call);
             call.stream = stream;
             push.prepare(call);
           })
      .def("replayed", &cuda::Push::replayed)
      .def_property_readonly("is_cooperative", &cuda::Push::is_cooperative);
}

}  // namespace hogwild
