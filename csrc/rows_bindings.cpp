// hogwild._C: sparse pushes into tables. Constants, tables and scalars are passed in dicts and looked up by the names in
// rows.h.
#include <pybind11/stl.h>

#include <optional>

#include "cpu/rows.h"
#include "cuda/rows.h"
#include "named.h"
#include "robust_mutex.h"
#include "row_gradients.h"

namespace py = pybind11;

namespace hogwild {

void bind_rows(py::module_& m);

namespace {

using Address = uintptr_t;
using Locks = std::pair<Address, int64_t>;
using Given = std::vector<std::optional<std::tuple<Address, Address, int64_t, std::string>>>;

Table make_table(const py::dict& given, const std::string& name, int64_t offset) {
  Table table;
  Named values(given);
  HOGWILD_READ(HOGWILD_TABLE, values, table);
  values.finish("a table");
  table.name = name;
  table.offset = offset;
  return table;
}

RowPlan make_plan(const Rule& rule, const py::dict& constants,
                  const std::vector<std::pair<std::string, py::dict>>& tables, const Locks& locks) {
  RowPlan plan;
  Named values(constants);
  HOGWILD_READ(HOGWILD_ROW_RULE, values, plan);
  values.finish("a sparse push");
  plan.rule = rule;
  int64_t offset = 0;
  for (const auto& [name, given] : tables) {
    plan.tables.push_back(make_table(given, name, offset));
    offset += plan.tables.back().rows * plan.tables.back().dim;
  }
  plan.stripes = reinterpret_cast<RobustMutex*>(locks.first);
  plan.n_stripes = locks.second;
  return plan;
}

std::vector<RowGradient> make_gradients(const Given& given) {
  std::vector<RowGradient> gradients(given.size());
  for (size_t k = 0; k < given.size(); ++k)
    if (given[k]) {
      const auto& [rows, values, count, dtype] = *given[k];
      gradients[k] = {reinterpret_cast<const int64_t*>(rows), reinterpret_cast<const void*>(values), count,
                      named<Dtype>(dtype)};
    }
  return gradients;
}

RowCall make_call(const py::dict& scalars) {
  RowCall call;
  Named values(scalars);
  HOGWILD_READ(HOGWILD_ROW_CALL, values, call);
  values.finish("a sparse push");
  return call;
}

auto report(const RowStats& s) {
  return std::make_tuple(s.applied, s.nonfinite, s.step_sq, s.grad_norm, s.rows, s.unique_rows, s.row_delay_sum,
                         s.shared_rows, s.recovered, s.row_delays);
}

template <class Class>
void bind_row_calls(Class& c) {
  using Rows = typename Class::type;
  c.def("begin",
        [](Rows& rows, const Given& given, Address stream) {
          const auto gradients = make_gradients(given);
          const py::gil_scoped_release release;
          rows.begin(gradients, stream);
        })
      .def("read",
           [](Rows& rows, RowGradientTable& table, const py::sequence& grads, Address stream) {
             if (!table.read(grads)) return false;
             const py::gil_scoped_release release;
             rows.begin(table.gradients(), stream);
             return true;
           })
      .def("scan",
           [](Rows& rows) {
             const py::gil_scoped_release release;
             const RowScan scan = rows.scan();
             return std::make_pair(scan.norm_sq, scan.nonfinite);
           })
      .def("push",
           [](Rows& rows, const py::dict& scalars) {
             const RowCall call = make_call(scalars);
             const py::gil_scoped_release release;
             return report(rows.push(call));
           })
      .def("catch_up", [](Rows& rows, const py::dict& scalars) {
        const RowCall call = make_call(scalars);
        const py::gil_scoped_release release;
        rows.catch_up(call);
      });
}

}  // namespace

void bind_rows(py::module_& m) {
  py::class_<RowGradientTable>(m, "RowGradientTable")
      .def(py::init([](const py::type& tensor, std::vector<int64_t> dims, const char* master, int device) {
        return RowGradientTable(tensor, std::move(dims), named<Dtype>(master), device);
      }));

  using Tables = std::vector<std::pair<std::string, py::dict>>;
  py::class_<cpu::Rows> on_cpu(m, "CpuRows");
  on_cpu.def(py::init([](const Rule& rule, const py::dict& constants, const Tables& tables, const Locks& stripes) {
    return cpu::Rows(make_plan(rule, constants, tables, stripes));
  }));
  bind_row_calls(on_cpu);

  py::class_<cuda::Rows> on_cuda(m, "CudaRows");
  on_cuda.def(py::init([](const Rule& rule, const py::dict& constants, const Tables& tables, int device) {
    return cuda::Rows(make_plan(rule, constants, tables, {}), device);
  }));
  bind_row_calls(on_cuda);
}

}  // namespace hogwild
