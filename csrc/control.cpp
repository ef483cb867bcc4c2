// The control block: its layout, pushes. Its tickets are in control_tickets.cpp, its locks in control_locks.cpp, waits
// between processes in control_waits.cpp, phases and their timeline in control_phases.cpp.
#include "control.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace hogwild {
namespace {

constexpr std::uint64_t kMagic = 0x686f6777696c6407;  // "hogwil", layout 7
constexpr auto kRelaxed = std::memory_order_relaxed;

static_assert(std::atomic<double>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free,
              "counters in shared memory must not hide a lock of one process");

}  // namespace

std::size_t Control::bytes(std::uint32_t workers, std::uint32_t stripes) {
  return sizeof(Header) + stripes * sizeof(RobustMutex) + workers * sizeof(WorkerLine);
}

Control::Control(std::uintptr_t address, std::uint32_t workers, std::uint32_t stripes, bool create) {
  if (address % 128 != 0) throw std::invalid_argument("control block: address is not a multiple of 128");
  auto* memory = reinterpret_cast<char*>(address);
  header_ = reinterpret_cast<Header*>(memory);
  stripe_locks_ = reinterpret_cast<RobustMutex*>(memory + sizeof(Header));
  lines_ = reinterpret_cast<WorkerLine*>(memory + sizeof(Header) + stripes * sizeof(RobustMutex));
  if (create) {
    std::memset(memory, 0, bytes(workers, stripes));
    new (header_) Header{};
    header_->workers = workers;
    header_->stripes = stripes;
    header_->parameters = 1;
    header_->tickets.init();
    header_->model.init();
    header_->turns.init();
    for (std::uint32_t i = 0; i < stripes; ++i) stripe_locks_[i].init();
    for (std::uint32_t i = 0; i < workers; ++i) {
      new (&lines_[i]) WorkerLine{};
      lines_[i].held = lines_[i].reclaimed = kNoTicket;
    }
    header_->magic.store(kMagic, std::memory_order_release);
  }
  if (header_->magic.load(std::memory_order_acquire) != kMagic || header_->workers != workers ||
      header_->stripes != stripes)
    throw std::invalid_argument("control block: not a block of this build for that many workers and stripes");
}

WorkerLine& Control::worker(std::uint32_t rank) {
  if (rank >= header_->workers)
    throw std::out_of_range("rank " + std::to_string(rank) + " of " + std::to_string(header_->workers));
  return lines_[rank];
}

// ---- pushes -----------------------------------------------------------------------------------------------------

void Control::count_push(WorkerLine& own, std::uint64_t delay, double gap_sq, double step_sq) {
  auto& stats = own.stats;
  bump(own.steps, 1);
  bump(stats.pushes, 1);
  count_gap(stats, gap_sq);
  bump(stats.step_sq, step_sq);
  bump(stats.delay_sum, delay);
  bump(stats.delays[std::min<std::uint64_t>(delay, kDelayBins - 1)], 1);
  if (delay > stats.delay_max.load(kRelaxed)) stats.delay_max.store(delay, kRelaxed);
  own.delay.store(static_cast<std::uint32_t>(std::min<std::uint64_t>(delay, kDelayBins - 1)), kRelaxed);
}

void Control::count_gap(WorkerStats& stats, double gap_sq) {
  if (!(gap_sq > 0)) return;
  bump(stats.gap_sq, gap_sq);
  const int power = std::ilogb(std::sqrt(gap_sq / static_cast<double>(header_->parameters.load(kRelaxed))));
  bump(stats.gaps[std::clamp(power - kLeastGap, 0, kGapBins - 1)], 1);
}

std::uint64_t Control::begin_push(std::uint32_t rank, bool locked) {
  auto& own = worker(rank);
  if (locked) lock_model(rank);
  own.started = header_->version.load();
  return own.started;
}

std::uint64_t Control::end_push(std::uint32_t rank, bool locked, bool applied, std::uint64_t nonfinite, double gap_sq,
                                double step_sq) {
  auto& own = worker(rank);
  auto& stats = own.stats;
  std::uint64_t delay = 0;
  bump(stats.nonfinite, nonfinite);
  if (applied) {
    header_->version.fetch_add(1);
    delay = own.started - own.pulled;
    own.pulled = own.started + 1;
    count_push(own, delay, gap_sq, step_sq);
  } else {
    bump(nonfinite ? stats.refused : stats.dropped, 1);
  }
  if (locked) header_->model.unlock();
  return delay;
}

void Control::end_round(std::uint32_t rank, bool commits, std::uint64_t nonfinite, double step_sq) {
  auto& own = worker(rank);
  auto& stats = own.stats;
  bump(stats.nonfinite, nonfinite);
  bump(nonfinite ? stats.refused : stats.pushes, 1);
  bump(own.steps, nonfinite ? 0 : 1);
  bump(stats.step_sq, step_sq);
  bump(stats.delays[0], nonfinite ? 0 : 1);
  if (commits) header_->version.fetch_add(1);
}

// The ticket is completed under the lock: the next worker that gathers must know whether another gradient can still
// come.
std::uint64_t Control::gather(std::uint32_t rank, bool taken, bool waits, std::uint64_t nonfinite) {
  auto& own = worker(rank);
  bump(own.stats.nonfinite, nonfinite);
  if (!taken) bump(nonfinite ? own.stats.refused : own.stats.dropped, 1);
  if (taken || nonfinite) complete(rank);
  if (!taken) return 0;
  const std::uint64_t delay = own.started - own.pulled;
  count_push(own, delay, 0.0, 0.0);
  header_->gathered.fetch_add(1);
  if (waits) own.awaited = own.started + 1;
  return delay;
}

bool Control::exhausted() const {
  if (header_->total == 0 || header_->next < header_->total || header_->open)
    return false;  // a total of 0: the workers' own loops
  return outstanding().empty();
}

void Control::commit(std::uint32_t rank) {
  auto& own = worker(rank);
  header_->gathered = 0;
  own.pulled = header_->version.fetch_add(1) + 1;
  announce();
}

void Control::end_gather(std::uint32_t rank, bool locked, double gap_sq, double step_sq) {
  auto& stats = worker(rank).stats;
  count_gap(stats, gap_sq);
  bump(stats.step_sq, step_sq);
  if (locked) header_->model.unlock();
}

void Control::count_exchange(std::uint32_t rank, std::uint64_t averaged, std::uint64_t skipped,
                             std::uint64_t recovered) {
  auto& stats = worker(rank).stats;
  bump(stats.averaged, averaged);
  bump(stats.skipped, skipped);
  bump(stats.recovered, recovered);
}

void Control::pulled(std::uint32_t rank) { worker(rank).pulled = header_->version.load(); }

void Control::record_loss(std::uint32_t rank, double loss, std::uint64_t samples) {
  auto& stats = worker(rank).stats;
  bump(stats.samples, samples);
  if (!std::isfinite(loss)) return;
  bump(stats.loss_sum, loss);
  bump(stats.losses, 1);
}

double Control::raise_lr_max(double lr) {
  double seen = header_->lr_max.load();
  while (seen < lr && !header_->lr_max.compare_exchange_weak(seen, lr)) {
  }
  return std::max(seen, lr);
}

}  // namespace hogwild
