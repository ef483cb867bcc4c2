// hogwild._C: a push. Constants, buffers and scalars are passed in dicts and looked up by the names in lists.h.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "cpu/push.h"
#include "cuda/push.h"
#include "gradients.h"
#include "robust_mutex.h"
#include "rule.h"

namespace py = pybind11;

namespace hogwild {

void bind_push(py::module_& m);

namespace {

using Address = uintptr_t;
using Segments = std::vector<std::pair<int64_t, int64_t>>;
using Locks = std::pair<Address, int64_t>;

template <class T = void>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

void read(PyObject* value, double& field) { field = PyFloat_AsDouble(value); }
void read(PyObject* value, int64_t& field) { field = PyLong_AsLongLong(value); }
void read(PyObject* value, bool& field) { field = PyObject_IsTrue(value) == 1; }
void read(PyObject* value, void*& field) { field = PyLong_AsVoidPtr(value); }
void read(PyObject* value, GapState*& field) { field = static_cast<GapState*>(PyLong_AsVoidPtr(value)); }
void read(PyObject* value, Motion<double>& weights);

template <class Kind>
std::enable_if_t<std::is_enum_v<Kind>> read(PyObject* value, Kind& field) {
  field = named<Kind>(py::cast<std::string_view>(py::handle(value)));
}

// Takes the values of a dict by their names, and reports names that were not taken.
class Named {
 public:
  explicit Named(PyObject* dict) : dict_(dict) {}

  // Whether there is a value of that name; if so, it is stored in `field`, except None.
  template <class Field>
  bool take(PyObject* name, Field& field) {
    PyObject* const value = PyDict_GetItemWithError(dict_, name);
    if (value != nullptr) {
      ++taken_;
      if (value != Py_None) read(value, field);
    }
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return value != nullptr;
  }

  // Raises TypeError if there are other names than `names`.
  void finish(const char* names) const {
    if (taken_ == PyDict_Size(dict_)) return;
    const std::string given = py::str(py::handle(PyDict_Keys(dict_)));
    throw py::type_error("among " + given + " is one that is none of" + names);
  }

 private:
  PyObject* dict_;
  Py_ssize_t taken_ = 0;
};

#define HOGWILD_TAKE(name, field)                                   \
  [&] {                                                             \
    static PyObject* const key = PyUnicode_InternFromString(#name); \
    return values.take(key, field);                                 \
  }()

void read(PyObject* value, Motion<double>& weights) {
  Named values(value);
#define HOGWILD_READ(name) HOGWILD_TAKE(name, weights.name);
#define HOGWILD_SPELLED(name) " " #name
  HOGWILD_MOTION(HOGWILD_READ)
  values.finish(HOGWILD_MOTION(HOGWILD_SPELLED));
#undef HOGWILD_SPELLED
#undef HOGWILD_READ
}

Rule make_rule(const py::kwargs& constants) {
  Rule rule;
  Named values(constants.ptr());
#define HOGWILD_READ(type, name, value) HOGWILD_TAKE(name, rule.name);
#define HOGWILD_SPELLED(type, name, value) " " #name
  HOGWILD_RULE(HOGWILD_READ)
  values.finish(HOGWILD_RULE(HOGWILD_SPELLED));
#undef HOGWILD_SPELLED
#undef HOGWILD_READ
  return rule;
}

PushPlan make_plan(const Rule& rule, const py::dict& buffers, const Segments& segments, const Locks& locks) {
  PushPlan plan;
  plan.rule = rule;
  Named values(buffers.ptr());
#define HOGWILD_READ(name) HOGWILD_TAKE(name, plan.buffers.name);
#define HOGWILD_SPELLED(name) " " #name
  HOGWILD_BUFFERS(HOGWILD_READ)
  HOGWILD_TAKE(gap_state, plan.gap_state);
  values.finish(HOGWILD_BUFFERS(HOGWILD_SPELLED) " gap_state");
#undef HOGWILD_SPELLED
#undef HOGWILD_READ
#define HOGWILD_REQUIRE(name)                                                       \
  if ((momentum_buffers(rule) & buffer::name) != 0 && plan.buffers.name == nullptr) \
    throw std::invalid_argument("this momentum works on the buffer " #name);
  HOGWILD_BUFFERS(HOGWILD_REQUIRE)
#undef HOGWILD_REQUIRE
  for (const auto& [offset, numel] : segments) plan.segments.push_back({offset, numel});
  plan.stripes = pointer<RobustMutex>(locks.first);
  plan.n_stripes = locks.second;
  return plan;
}

void read_scalars(const py::dict& scalars, PushCall& call) {
  Named values(scalars.ptr());
#define HOGWILD_REQUIRED(type, name) \
  if (!HOGWILD_TAKE(name, call.name)) throw py::type_error("a push needs " #name);
#define HOGWILD_READ(type, name, value) HOGWILD_TAKE(name, call.name);
#define HOGWILD_NEEDED(type, name) " " #name
#define HOGWILD_SPELLED(type, name, value) " " #name
  HOGWILD_CALL(HOGWILD_REQUIRED, HOGWILD_READ)
  values.finish(HOGWILD_CALL(HOGWILD_NEEDED, HOGWILD_SPELLED));
#undef HOGWILD_SPELLED
#undef HOGWILD_NEEDED
#undef HOGWILD_READ
#undef HOGWILD_REQUIRED
}

// Reads the gradients' addresses from the tensors; without tensors, keeps those in the table. False: Python must check
// a tensor, and nothing was done.
bool read_gradients(GradientTable& table, const std::optional<py::sequence>& grads, PushCall& call) {
  if (grads && !table.read(*grads)) return false;
  call.grads = table.addresses();
  call.gradient = table.dtype();
  return true;
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
  on_cpu.def(py::init([](const Rule& rule, const py::dict& buffers, const Segments& segments, const Locks& stripes) {
    return CpuPush(make_plan(rule, buffers, segments, stripes));
  }));
  bind_calls(on_cpu);

  py::class_<cuda::Push> on_cuda(m, "CudaPush");
  on_cuda.def(py::init([](const Rule& rule, const py::dict& buffers, const Segments& segments, int device) {
    return cuda::Push(make_plan(rule, buffers, segments, {}), device);
  }));
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
