// Python bindings of the control block, without logic: names, the GIL, and statistics as plain numbers.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <optional>

#include "buffers.h"
#include "control.h"

namespace py = pybind11;

namespace hogwild {
namespace {

// A worker's statistics by name, for `totals` and `restore`; the histogram `delays` is separate.
struct Count {
  const char* name;
  std::atomic<std::uint64_t> WorkerStats::* field;
};
struct Sum {
  const char* name;
  std::atomic<double> WorkerStats::* field;
};
constexpr Count kCounts[] = {{"pushes", &WorkerStats::pushes},       {"refused", &WorkerStats::refused},
                             {"dropped", &WorkerStats::dropped},     {"nonfinite", &WorkerStats::nonfinite},
                             {"recovered", &WorkerStats::recovered}, {"averaged", &WorkerStats::averaged},
                             {"skipped", &WorkerStats::skipped},     {"delay_sum", &WorkerStats::delay_sum},
                             {"delay_max", &WorkerStats::delay_max}, {"losses", &WorkerStats::losses},
                             {"samples", &WorkerStats::samples},     {"overtook", &WorkerStats::overtook}};
constexpr Sum kSums[] = {
    {"gap_sq", &WorkerStats::gap_sq}, {"step_sq", &WorkerStats::step_sq}, {"loss_sum", &WorkerStats::loss_sum}};
// Seconds in the phases of a worker that has begun and not ended.
struct Span {
  const char* name;
  Phase phase;
};
constexpr Span kSpans[] = {{"data_s", Phase::kData},  {"gradient_s", Phase::kGradient}, {"update_s", Phase::kUpdate},
                           {"lock_s", Phase::kLock},  {"waiting_s", Phase::kBarrier},   {"paused_s", Phase::kPaused},
                           {"sleep_s", Phase::kSleep}};

std::atomic<double>& seconds(WorkerStats& stats, Phase phase) { return stats.seconds[static_cast<int>(phase)]; }

py::dict totals(Control& control, std::uint32_t rank) {
  auto& stats = control.worker(rank).stats;
  py::dict d;
  for (const auto& count : kCounts) d[count.name] = (stats.*count.field).load();
  for (const auto& sum : kSums) d[sum.name] = (stats.*sum.field).load();
  for (const auto& span : kSpans) d[span.name] = seconds(stats, span.phase).load();
  return d;
}

void restore(Control& control, std::uint32_t rank, const py::dict& values) {
  auto& stats = control.worker(rank).stats;
  for (const auto& [key, value] : values) {
    const auto name = key.cast<std::string>();
    bool known = false;
    for (const auto& count : kCounts)
      if (name == count.name) (stats.*count.field) = value.cast<std::uint64_t>(), known = true;
    for (const auto& sum : kSums)
      if (name == sum.name) (stats.*sum.field) = value.cast<double>(), known = true;
    for (const auto& span : kSpans)
      if (name == span.name) seconds(stats, span.phase) = value.cast<double>(), known = true;
    if (!known) throw std::invalid_argument("restore: a worker has no statistic " + name);
  }
}

template <std::size_t bins>
using Histogram = std::atomic<std::uint64_t> (WorkerStats::*)[bins];

template <std::size_t bins>
auto counted(Histogram<bins> field) {
  return [field](Control& control, std::uint32_t rank) {
    std::vector<std::uint64_t> histogram;
    for (const auto& count : control.worker(rank).stats.*field) histogram.push_back(count.load());
    return histogram;
  };
}

template <std::size_t bins>
auto set(Histogram<bins> field) {
  return [field](Control& control, std::uint32_t rank, const std::vector<std::uint64_t>& histogram) {
    if (histogram.size() > bins) throw std::invalid_argument("restore: more bins than the block has");
    auto& counts = control.worker(rank).stats.*field;
    for (std::size_t i = 0; i < bins; ++i) counts[i] = i < histogram.size() ? histogram[i] : 0;
  };
}

py::tuple timeline(Control& control, std::uint32_t rank, std::uint64_t from) {
  const auto found = control.timeline(rank, from);
  const auto* const records = reinterpret_cast<const char*>(found.records.data());
  return py::make_tuple(py::bytes(records, found.records.size() * sizeof(found.records[0])), found.next, found.lost);
}

py::dict stats(Control& control, std::uint32_t rank) {
  const auto& line = control.worker(rank);
  py::dict d = totals(control, rank);
  d["alive"] = line.alive.load() != 0;
  d["phase"] = static_cast<Phase>(line.phase.load());
  d["beats"] = line.beats.load();
  d["held"] = line.held.load();
  return d;
}

}  // namespace

void bind_control(py::module_& m) {
  py::enum_<Phase>(m, "Phase")
      .value("STARTING", Phase::kStarting)
      .value("DATA", Phase::kData)
      .value("GRADIENT", Phase::kGradient)
      .value("UPDATE", Phase::kUpdate)
      .value("BARRIER", Phase::kBarrier)
      .value("PAUSED", Phase::kPaused)
      .value("DONE", Phase::kDone)
      .value("LOCK", Phase::kLock)
      .value("SLEEP", Phase::kSleep);
  m.attr("LEAST_GAP") = kLeastGap;
  m.def(
      "load_word",
      [](std::uintptr_t address) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);  // what was read before is not read after the word
        return __atomic_load_n(reinterpret_cast<std::int64_t*>(address), __ATOMIC_ACQUIRE);
      },
      py::arg("address"));
  m.def(
      "store_word",
      [](std::uintptr_t address, std::int64_t value) {
        __atomic_store_n(reinterpret_cast<std::int64_t*>(address), value, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
      },
      py::arg("address"), py::arg("value"));
  const auto unlocked = py::call_guard<py::gil_scoped_release>();
  py::class_<Control>(m, "Control")
      .def(py::init<std::uintptr_t, std::uint32_t, std::uint32_t, bool>(), py::arg("address"), py::arg("workers"),
           py::arg("stripes"), py::arg("create"))
      .def_static("bytes", &Control::bytes, py::arg("workers"), py::arg("stripes"))
      .def_property_readonly("workers", &Control::workers)
      .def_property_readonly("stripes", &Control::stripes)
      .def_property_readonly("stripe_locks", &Control::stripe_locks)
      .def_property(
          "version", [](Control& c) { return c.header().version.load(); },
          [](Control& c, std::uint64_t version) { c.header().version = version; })
      .def_property(
          "origin_ns", [](Control& c) { return c.header().origin.load(); },
          [](Control& c, std::uint64_t origin) { c.header().origin = origin; })
      .def_property(
          "parameters", [](Control& c) { return c.header().parameters.load(); },
          [](Control& c, std::uint64_t parameters) { c.header().parameters = parameters; })
      .def_property_readonly("lr_max", [](Control& c) { return c.header().lr_max.load(); })
      .def_property_readonly("next", [](Control& c) { return c.header().next.load(); })
      .def_property_readonly("total", [](Control& c) { return c.header().total.load(); })
      .def_property_readonly("stopping", [](Control& c) { return c.header().stop.load() != 0; })
      .def("raise_lr_max", &Control::raise_lr_max, py::arg("lr"))
      .def(
          "take",
          [](Control& c, std::uint32_t rank, bool takes_over, std::optional<std::uint64_t> ns) {
            return c.take(rank, takes_over, ns ? *ns : c.now_ns());
          },
          py::arg("rank"), py::arg("takes_over") = false, py::arg("ns") = py::none(), unlocked)
      .def("claim", &Control::claim, py::arg("rank"))
      .def("disclaim", &Control::disclaim, py::arg("rank"))
      .def("overtaken", &Control::overtaken, py::arg("rank"))
      .def(
          "takes_over_at",
          [](Control& c, std::uint32_t rank) -> std::optional<std::uint64_t> {
            const auto at = c.takes_over_at(rank);
            return at == std::numeric_limits<std::uint64_t>::max() ? std::nullopt : std::optional(at);
          },
          py::arg("rank"))
      .def("complete", &Control::complete, py::arg("rank"))
      .def("wait_for_work", &Control::wait_for_work, py::arg("rank"), py::arg("timeout_s"),
           py::arg("takes_over") = false, unlocked)
      .def("mark_dead", &Control::mark_dead, py::arg("rank"), py::arg("timeout_s"), unlocked)
      .def("outstanding", &Control::outstanding, unlocked)
      .def("assign", &Control::assign, py::arg("next"), py::arg("total"), py::arg("again"), unlocked)
      .def("lease", &Control::lease, py::arg("first"), py::arg("count"), py::arg("more"), unlocked)
      .def("number", &Control::number, py::arg("ticket"))
      .def_property_readonly("open", [](Control& c) { return c.header().open.load() != 0; })
      .def("begin_push", &Control::begin_push, py::arg("rank"), py::arg("locked"), unlocked)
      .def("end_push", &Control::end_push, py::arg("rank"), py::arg("locked"), py::arg("applied"), py::arg("nonfinite"),
           py::arg("gap_sq"), py::arg("step_sq"))
      .def(
          "count_push",
          [](Control& c, std::uint32_t rank, bool locked, const PushStats& s) {
            c.end_push(rank, locked, s.applied, s.nonfinite, s.gap_sq, s.step_sq);
            if (s.recovered != 0) c.count_exchange(rank, 0, 0, s.recovered);
          },
          py::arg("rank"), py::arg("locked"), py::arg("stats"))
      .def("gather", &Control::gather, py::arg("rank"), py::arg("taken"), py::arg("waits"), py::arg("nonfinite"))
      .def_property(
          "gathered", [](Control& c) { return c.header().gathered.load(); },
          [](Control& c, std::uint64_t gathered) { c.header().gathered = gathered; })
      .def("exhausted", &Control::exhausted, unlocked)
      .def("commit", &Control::commit, py::arg("rank"))
      .def("end_gather", &Control::end_gather, py::arg("rank"), py::arg("locked"), py::arg("gap_sq"),
           py::arg("step_sq"))
      .def("awaits_update", &Control::awaits_update, py::arg("rank"))
      .def("all_await", &Control::all_await)
      .def("wait_update", &Control::wait_update, py::arg("rank"), py::arg("timeout_s"), unlocked)
      .def("end_round", &Control::end_round, py::arg("rank"), py::arg("commits"), py::arg("nonfinite"),
           py::arg("step_sq"))
      .def("lock_model", &Control::lock_model, py::arg("rank"), unlocked)
      .def("unlock_model", &Control::unlock_model)
      .def("begin_turn", &Control::begin_turn, py::arg("rank"), py::arg("alone"), unlocked)
      .def("end_turn", &Control::end_turn, py::arg("alone"))
      .def(
          "alive", [](Control& c, std::uint32_t rank) { return c.worker(rank).alive.load() != 0; }, py::arg("rank"))
      .def("pulled", &Control::pulled, py::arg("rank"))
      .def("count_exchange", &Control::count_exchange, py::arg("rank"), py::arg("averaged"), py::arg("skipped"),
           py::arg("recovered"))
      .def(
          "set_pulled", [](Control& c, std::uint32_t rank, std::uint64_t version) { c.worker(rank).pulled = version; },
          py::arg("rank"), py::arg("version"))
      .def(
          "pulled_version", [](Control& c, std::uint32_t rank) { return c.worker(rank).pulled.load(); },
          py::arg("rank"))
      .def("record_loss", &Control::record_loss, py::arg("rank"), py::arg("loss"), py::arg("samples"))
      .def("arrive", &Control::arrive, py::arg("rank"))
      .def(
          "arrived", [](Control& c, std::uint32_t rank) { return c.worker(rank).arrived.load(); }, py::arg("rank"))
      .def("wait_barrier", &Control::wait_barrier, py::arg("rank"), py::arg("generation"), py::arg("timeout_s"),
           unlocked)
      .def("participants", &Control::participants, py::arg("generation"))
      .def("join", &Control::join, py::arg("rank"), py::arg("barriers_per_round"), py::arg("timeout_s"), unlocked)
      .def("leave", &Control::leave, py::arg("rank"))
      .def("close_gate", &Control::close_gate, py::arg("barriers_per_round"))
      .def("drained", &Control::drained)
      .def("open_gate", &Control::open_gate)
      .def("enter", &Control::enter, py::arg("rank"), py::arg("timeout_s"), unlocked)
      .def("exit", &Control::exit, py::arg("rank"))
      .def("stop", &Control::stop)
      .def("lock_holders", &Control::lock_holders)
      .def("set_phase", &Control::set_phase, py::arg("rank"), py::arg("phase"))
      .def("set_phase_at", &Control::set_phase_at, py::arg("rank"), py::arg("phase"), py::arg("ns"))
      .def("timeline", &timeline, py::arg("rank"), py::arg("first"))
      .def(
          "contribute", [](Control& c, std::uint32_t rank, bool yes) { c.worker(rank).contributes = yes; },
          py::arg("rank"), py::arg("yes"))
      .def(
          "contributes", [](Control& c, std::uint32_t rank) { return c.worker(rank).contributes.load() != 0; },
          py::arg("rank"))
      .def(
          "steps", [](Control& c, std::uint32_t rank) { return c.worker(rank).steps.load(); }, py::arg("rank"))
      .def(
          "restore_steps", [](Control& c, std::uint32_t rank, std::uint64_t steps) { c.worker(rank).steps = steps; },
          py::arg("rank"), py::arg("steps"))
      .def(
          "completed", [](Control& c, std::uint32_t rank) { return c.worker(rank).completed.load(); }, py::arg("rank"))
      .def(
          "restore_completed",
          [](Control& c, std::uint32_t rank, std::uint64_t completed) { c.worker(rank).completed = completed; },
          py::arg("rank"), py::arg("completed"))
      .def("stats", &stats, py::arg("rank"))
      .def("totals", &totals, py::arg("rank"))
      .def("restore", &restore, py::arg("rank"), py::arg("values"))
      .def("delays", counted(&WorkerStats::delays), py::arg("rank"))
      .def("restore_delays", set(&WorkerStats::delays), py::arg("rank"), py::arg("histogram"))
      .def("gaps", counted(&WorkerStats::gaps), py::arg("rank"))
      .def("restore_gaps", set(&WorkerStats::gaps), py::arg("rank"), py::arg("histogram"));
}

}  // namespace hogwild
