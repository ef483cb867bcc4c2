// The control block: its layout, tickets, pushes. Waits between processes are in control_waits.cpp.
#include "control.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace hogwild {
namespace {

constexpr std::uint64_t kMagic = 0x686f6777696c6403;  // "hogwil", layout 3
constexpr auto kRelaxed = std::memory_order_relaxed;

static_assert(std::atomic<double>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free,
              "counters in shared memory must not hide a lock of one process");

template <class T, class U>
void bump(std::atomic<T>& counter, U amount) {  // statistics have one writer: no read-modify-write needed
  counter.store(counter.load(kRelaxed) + static_cast<T>(amount), kRelaxed);
}

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
    header_->tickets.init();
    header_->model.init();
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

// ---- tickets ----------------------------------------------------------------------------------------------------

// Holds the lock of the tickets for a scope, and first repairs what a worker left behind that was killed in take().
struct Control::TicketGuard {
  RobustGuard guard;
  explicit TicketGuard(Control& control) : guard(control.header_->tickets) { repair(control); }
  TicketGuard(Control& control, double timeout_s) : guard(control.header_->tickets, timeout_s) { repair(control); }
  void repair(Control& control) const {
    if (guard.recovered) control.repair_tickets();
  }
};

// A ticket is written into the taker's hand before it is struck off where it came from. A taker that was killed between
// the two stores has the ticket: the second store is made up for here, before anybody else can take it again.
void Control::repair_tickets() {
  for (std::uint32_t i = 0; i < header_->workers; ++i) {
    const std::int64_t held = lines_[i].held;
    if (held == kNoTicket) continue;
    if (held >= header_->next) header_->next = held + 1;
    for (std::uint32_t j = 0; j < header_->workers; ++j)
      if (lines_[j].reclaimed == held) lines_[j].reclaimed = kNoTicket;
  }
}

std::int64_t Control::take(std::uint32_t rank) {
  auto& own = worker(rank);
  TicketGuard guard(*this);
  if (header_->stop.load()) return kNoTicket;
  if (own.held != kNoTicket) return own.held;
  for (std::uint32_t i = 0; i < header_->workers; ++i) {
    const std::int64_t ticket = lines_[i].reclaimed;
    if (ticket == kNoTicket) continue;
    own.held = ticket;
    lines_[i].reclaimed = kNoTicket;
    return ticket;
  }
  const std::int64_t ticket = header_->next;
  if (ticket >= header_->total) return kNoTicket;
  own.held = ticket;
  header_->next = ticket + 1;
  return ticket;
}

// The second store is the one that counts. Killed before it, the ticket is still to be done; killed after it, mark_dead
// makes up for the third.
void Control::complete(std::uint32_t rank) {
  auto& own = worker(rank);
  if (own.held != kNoTicket) {
    own.completing = own.completed + 1;
    own.held = kNoTicket;
    own.completed = own.completing.load();
  }
  if (header_->next.load() >= header_->total.load()) announce();
}

bool Control::mark_dead(std::uint32_t rank, double timeout_s) {
  auto& dead = worker(rank);
  dead.alive = 0;
  dead.busy = 0;
  announce();
  {
    TicketGuard guard(*this, timeout_s);
    if (!guard.guard.held) return false;
    if (const std::int64_t ticket = dead.held; ticket != kNoTicket) {
      std::uint32_t empty = rank;
      for (std::uint32_t i = 0; i < header_->workers; ++i)
        if (lines_[i].reclaimed == kNoTicket) empty = i;  // held + reclaimed never exceed the workers: one is free
      lines_[empty].reclaimed = ticket;
      header_->returned.fetch_add(1);  // between the two: see `outstanding`
    } else if (dead.completing > dead.completed) {
      dead.completed = dead.completing.load();
    }
    dead.completing = dead.completed.load();
    dead.held = kNoTicket;
  }
  announce();
  return true;
}

// Without the lock, which a worker may hold that is stopped. Whoever takes a reclaimed ticket writes it into its hand
// first, so it is seen there if no longer here; one that goes the other way meanwhile has raised `returned`.
std::vector<std::int64_t> Control::outstanding() const {
  std::vector<std::int64_t> tickets;
  std::uint64_t returned;
  do {
    tickets.clear();
    returned = header_->returned;
    const std::int64_t next = header_->next;
    const auto add = [&](std::int64_t ticket) {
      if (ticket != kNoTicket && ticket < next) tickets.push_back(ticket);
    };
    for (std::uint32_t i = 0; i < header_->workers; ++i) add(lines_[i].reclaimed);
    for (std::uint32_t i = 0; i < header_->workers; ++i) add(lines_[i].held);
  } while (returned != header_->returned);
  std::sort(tickets.begin(), tickets.end());
  tickets.erase(std::unique(tickets.begin(), tickets.end()), tickets.end());
  return tickets;
}

void Control::assign(std::int64_t next, std::int64_t total, const std::vector<std::int64_t>& again) {
  if (again.size() > header_->workers) throw std::invalid_argument("assign: more tickets to assign again than workers");
  TicketGuard guard(*this);
  header_->next = next;
  header_->total = total;
  for (std::size_t i = 0; i < again.size(); ++i) lines_[i].reclaimed = again[i];
}

// ---- pushes -----------------------------------------------------------------------------------------------------

void Control::lock_model(std::uint32_t rank) {
  auto& stats = worker(rank).stats;
  if (header_->model.lock()) bump(stats.recovered, 1);
}

void Control::count_push(WorkerLine& own, std::uint64_t delay, double gap_sq, double step_sq) {
  auto& stats = own.stats;
  bump(own.steps, 1);
  bump(stats.pushes, 1);
  bump(stats.gap_sq, gap_sq);
  bump(stats.step_sq, step_sq);
  bump(stats.delay_sum, delay);
  bump(stats.delays[std::min<std::uint64_t>(delay, kDelayBins - 1)], 1);
  if (delay > stats.delay_max.load(kRelaxed)) stats.delay_max.store(delay, kRelaxed);
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
  if (header_->total == 0 || header_->next < header_->total) return false;  // a total of 0: the workers' own loops
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
  bump(stats.gap_sq, gap_sq);
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

std::vector<std::pair<std::string, int>> Control::lock_holders() const {
  std::vector<std::pair<std::string, int>> holders;
  const auto add = [&](const std::string& name, const RobustMutex& mutex) {
    if (const int holder = mutex.holder()) holders.emplace_back(name, holder);
  };
  add("the lock of the tickets", header_->tickets);
  add("the lock of the model", header_->model);
  for (std::uint32_t i = 0; i < header_->stripes; ++i) add("stripe " + std::to_string(i), stripe_locks_[i]);
  return holders;
}

void Control::set_phase(std::uint32_t rank, Phase phase) {
  auto& own = worker(rank);
  own.phase.store(static_cast<std::uint32_t>(phase), kRelaxed);
  bump(own.beats, 1);
}

}  // namespace hogwild
