// Python's view of the control block. No logic: names, the GIL, and statistics as plain numbers.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "control.h"

namespace py = pybind11;

namespace hogwild {
namespace {

py::dict worker_stats(Control& control, std::uint32_t rank) {
  const auto& line = control.worker(rank);
  const auto& stats = line.stats;
  py::dict d;
  d["alive"] = line.alive.load() != 0;
  d["phase"] = static_cast<Phase>(line.phase.load());
  d["beats"] = line.beats.load();
  d["held"] = line.held.load();
  d["pushes"] = stats.pushes.load();
  d["refused"] = stats.refused.load();
  d["dropped"] = stats.dropped.load();
  d["nonfinite"] = stats.nonfinite.load();
  d["recovered"] = stats.recovered.load();
  d["averaged"] = stats.averaged.load();
  d["skipped"] = stats.skipped.load();
  d["delay_sum"] = stats.delay_sum.load();
  d["delay_max"] = stats.delay_max.load();
  d["gap_sq"] = stats.gap_sq.load();
  d["step_sq"] = stats.step_sq.load();
  d["loss_sum"] = stats.loss_sum.load();
  d["last_loss"] = stats.last_loss.load();
  d["losses"] = stats.losses.load();
  d["samples"] = stats.samples.load();
  d["gradient_s"] = stats.gradient_s.load();
  d["update_s"] = stats.update_s.load();
  d["waiting_s"] = stats.waiting_s.load();
  return d;
}

void add(std::atomic<double>& total, double amount) { total.store(total.load() + amount); }

}  // namespace

void bind_control(py::module_& m) {
  py::enum_<Phase>(m, "Phase")
      .value("STARTING", Phase::kStarting)
      .value("DATA", Phase::kData)
      .value("GRADIENT", Phase::kGradient)
      .value("UPDATE", Phase::kUpdate)
      .value("BARRIER", Phase::kBarrier)
      .value("PAUSED", Phase::kPaused)
      .value("DONE", Phase::kDone);
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
      .def_property_readonly("lr_max", [](Control& c) { return c.header().lr_max.load(); })
      .def_property_readonly("next", [](Control& c) { return c.header().next.load(); })
      .def_property_readonly("total", [](Control& c) { return c.header().total.load(); })
      .def_property_readonly("stopping", [](Control& c) { return c.header().stop.load() != 0; })
      .def("raise_lr_max", &Control::raise_lr_max, py::arg("lr"))
      .def("take", &Control::take, py::arg("rank"), unlocked)
      .def("complete", &Control::complete, py::arg("rank"))
      .def("wait_for_work", &Control::wait_for_work, py::arg("rank"), py::arg("timeout_s"), unlocked)
      .def("bury", &Control::bury, py::arg("rank"), unlocked)
      .def("outstanding", &Control::outstanding, unlocked)
      .def("deal", &Control::deal, py::arg("next"), py::arg("total"), py::arg("again"), unlocked)
      .def("begin_push", &Control::begin_push, py::arg("rank"), py::arg("locked"), unlocked)
      .def("end_push", &Control::end_push, py::arg("rank"), py::arg("locked"), py::arg("applied"), py::arg("nonfinite"),
           py::arg("gap_sq"), py::arg("step_sq"))
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
      .def("set_phase", &Control::set_phase, py::arg("rank"), py::arg("phase"))
      .def(
          "contribute", [](Control& c, std::uint32_t rank, bool yes) { c.worker(rank).contributes = yes; },
          py::arg("rank"), py::arg("yes"))
      .def(
          "contributes", [](Control& c, std::uint32_t rank) { return c.worker(rank).contributes.load() != 0; },
          py::arg("rank"))
      .def(
          "pushes", [](Control& c, std::uint32_t rank) { return c.worker(rank).stats.pushes.load(); }, py::arg("rank"))
      .def(
          "restore_pushes",
          [](Control& c, std::uint32_t rank, std::uint64_t pushes) { c.worker(rank).stats.pushes = pushes; },
          py::arg("rank"), py::arg("pushes"))
      .def(
          "completed", [](Control& c, std::uint32_t rank) { return c.worker(rank).completed.load(); }, py::arg("rank"))
      .def(
          "restore_completed",
          [](Control& c, std::uint32_t rank, std::uint64_t completed) { c.worker(rank).completed = completed; },
          py::arg("rank"), py::arg("completed"))
      .def(
          "spend",
          [](Control& c, std::uint32_t rank, double gradient_s, double update_s, double waiting_s) {
            auto& stats = c.worker(rank).stats;
            add(stats.gradient_s, gradient_s);
            add(stats.update_s, update_s);
            add(stats.waiting_s, waiting_s);
          },
          py::arg("rank"), py::arg("gradient_s"), py::arg("update_s"), py::arg("waiting_s"))
      .def("stats", &worker_stats, py::arg("rank"))
      .def(
          "delays",
          [](Control& c, std::uint32_t rank) {
            std::vector<std::uint64_t> histogram;
            for (const auto& count : c.worker(rank).stats.delays) histogram.push_back(count.load());
            return histogram;
          },
          py::arg("rank"));
}

}  // namespace hogwild
