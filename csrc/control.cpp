#include "control.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cmath>
#include <ctime>
#include <new>

namespace hogwild {
namespace {

constexpr std::uint64_t kMagic = 0x686f6777696c6401;  // "hogwil", layout 1
constexpr auto kRelaxed = std::memory_order_relaxed;

static_assert(std::atomic<double>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free,
              "counters in shared memory must not hide a lock of one process");

template <class T, class U>
void bump(std::atomic<T>& counter, U amount) {  // only its owner writes a statistic: no read-modify-write needed
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

std::int64_t Control::take(std::uint32_t rank) {
  auto& own = worker(rank);
  RobustGuard guard(header_->tickets);
  if (header_->stop.load()) return kNoTicket;
  for (std::uint32_t i = 0; i < header_->workers; ++i) {
    const std::int64_t ticket = lines_[i].reclaimed;
    if (ticket == kNoTicket) continue;
    own.held = ticket;  // hold before release: killed in between, `bury` sees the ticket twice and keeps it once
    lines_[i].reclaimed = kNoTicket;
    return ticket;
  }
  const std::int64_t ticket = header_->next;
  if (ticket >= header_->total) return kNoTicket;
  own.held = ticket;  // likewise: a held ticket that is not below `next` was never dealt
  header_->next = ticket + 1;
  return ticket;
}

void Control::complete(std::uint32_t rank) {
  worker(rank).held = kNoTicket;
  if (header_->next.load() >= header_->total.load()) announce();
}

bool Control::wait_for_work(std::uint32_t rank, double timeout_s) {
  worker(rank);
  bool again = false;
  wait_until(
      [&] {
        bool held = again = false;
        for (std::uint32_t i = 0; i < header_->workers; ++i) {
          again |= lines_[i].reclaimed.load() != kNoTicket;
          held |= lines_[i].held.load() != kNoTicket;
        }
        return again || !held || header_->stop.load();
      },
      timeout_s);
  return again && !header_->stop.load();
}

void Control::bury(std::uint32_t rank) {
  auto& dead = worker(rank);
  {
    RobustGuard guard(header_->tickets);
    const std::int64_t ticket = dead.held;
    bool dealt_again = ticket == kNoTicket || ticket >= header_->next;
    std::uint32_t empty = rank;
    for (std::uint32_t i = 0; i < header_->workers; ++i) {
      if (lines_[i].reclaimed == ticket) dealt_again = true;
      if (lines_[i].reclaimed == kNoTicket) empty = i;  // held + reclaimed never exceed the workers: one is free
    }
    if (!dealt_again) lines_[empty].reclaimed = ticket;
    dead.held = kNoTicket;
  }
  dead.alive = 0;
  dead.busy = 0;
  announce();
}

std::vector<std::int64_t> Control::outstanding() {
  std::vector<std::int64_t> tickets;
  RobustGuard guard(header_->tickets);
  for (std::uint32_t i = 0; i < header_->workers; ++i)
    for (const std::int64_t ticket : {lines_[i].held.load(), lines_[i].reclaimed.load()})
      if (ticket != kNoTicket && ticket < header_->next) tickets.push_back(ticket);
  std::sort(tickets.begin(), tickets.end());
  tickets.erase(std::unique(tickets.begin(), tickets.end()), tickets.end());
  return tickets;
}

void Control::deal(std::int64_t next, std::int64_t total, const std::vector<std::int64_t>& again) {
  if (again.size() > header_->workers) throw std::invalid_argument("deal: more tickets to deal again than workers");
  RobustGuard guard(header_->tickets);
  header_->next = next;
  header_->total = total;
  for (std::size_t i = 0; i < again.size(); ++i) lines_[i].reclaimed = again[i];
}

// ---- pushes -----------------------------------------------------------------------------------------------------

std::uint64_t Control::begin_push(std::uint32_t rank, bool locked) {
  auto& own = worker(rank);
  if (locked && header_->model.lock()) bump(own.stats.recovered, 1);
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
    bump(stats.pushes, 1);
    bump(stats.gap_sq, gap_sq);
    bump(stats.step_sq, step_sq);
    bump(stats.delay_sum, delay);
    bump(stats.delays[std::min<std::uint64_t>(delay, kDelayBins - 1)], 1);
    if (delay > stats.delay_max.load(kRelaxed)) stats.delay_max.store(delay, kRelaxed);
  } else {
    bump(nonfinite ? stats.refused : stats.dropped, 1);
  }
  if (locked) header_->model.unlock();
  return delay;
}

void Control::end_round(std::uint32_t rank, bool commits, std::uint64_t nonfinite, double step_sq) {
  auto& stats = worker(rank).stats;
  bump(stats.nonfinite, nonfinite);
  bump(nonfinite ? stats.refused : stats.pushes, 1);
  bump(stats.step_sq, step_sq);
  bump(stats.delays[0], nonfinite ? 0 : 1);
  if (commits) header_->version.fetch_add(1);
}

void Control::pulled(std::uint32_t rank) { worker(rank).pulled = header_->version.load(); }

void Control::record_loss(std::uint32_t rank, double loss, std::uint64_t samples) {
  auto& stats = worker(rank).stats;
  stats.last_loss.store(loss, kRelaxed);
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

// ---- waiting ----------------------------------------------------------------------------------------------------

void Control::announce() {
  header_->event.fetch_add(1);
  syscall(SYS_futex, &header_->event, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

template <class Ready>
bool Control::wait_until(Ready ready, double timeout_s) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration<double>(timeout_s);
  for (int spin = 0; spin < 200; ++spin)
    if (ready()) return true;
  while (true) {
    const std::uint32_t seen = header_->event.load();
    if (ready()) return true;
    if (Clock::now() >= deadline) return false;
    const timespec nap{0, 5'000'000};  // a bound on how late a missed wake-up can be noticed
    syscall(SYS_futex, &header_->event, FUTEX_WAIT, seen, &nap, nullptr, 0);
  }
}

// ---- barrier ----------------------------------------------------------------------------------------------------

std::uint64_t Control::arrive(std::uint32_t rank) {
  auto& own = worker(rank);
  const std::uint64_t generation = own.arrived.load() + 1;
  own.arrived = generation;
  announce();
  return generation;
}

bool Control::wait_barrier(std::uint32_t rank, std::uint64_t generation, double timeout_s) {
  worker(rank);
  return wait_until(
      [&] {
        for (std::uint32_t i = 0; i < header_->workers; ++i)
          if (lines_[i].alive.load() && lines_[i].arrived.load() < generation) return false;
        return true;
      },
      timeout_s);
}

// The same answer for every survivor: a worker that had not arrived when the barrier opened is dead or gone, and one
// that joins later says so in `joined`.
std::vector<std::uint32_t> Control::participants(std::uint64_t generation) const {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t i = 0; i < header_->workers; ++i)
    if (lines_[i].arrived.load() >= generation && lines_[i].joined.load() < generation) ranks.push_back(i);
  return ranks;
}

// Of all workers, also those that are gone: barrier numbers never begin again, or who was there before would count as
// there now.
std::uint64_t Control::max_arrived() const {
  std::uint64_t latest = 0;
  for (std::uint32_t i = 0; i < header_->workers; ++i) latest = std::max(latest, lines_[i].arrived.load());
  return latest;
}

// The end of a round that nobody can have passed yet, unless the caller is held up: so it must look again after it has
// published its choice.
std::uint64_t Control::round_after(std::uint64_t barriers_per_round) const {
  const std::uint64_t rounds = (max_arrived() + barriers_per_round - 1) / barriers_per_round;
  return (rounds + 1) * barriers_per_round;
}

bool Control::join(std::uint32_t rank, std::uint64_t barriers_per_round, double timeout_s) {
  auto& own = worker(rank);
  own.busy = 0;
  if (barriers_per_round == 0) {
    own.alive = 1;
    return true;
  }
  while (!own.alive.load()) {  // a call after one that timed out goes on waiting for what that one chose
    const std::uint64_t generation = max_arrived() == 0 ? 0 : round_after(barriers_per_round);
    own.joined = own.arrived = generation;
    own.alive = 1;
    for (std::uint32_t i = 0; i < header_->workers; ++i)
      if (lines_[i].alive.load() && lines_[i].arrived.load() > generation) own.alive = 0;
    if (!own.alive.load()) announce();  // they went by while this worker was held up
  }
  return wait_barrier(rank, own.arrived.load(), timeout_s);
}

void Control::leave(std::uint32_t rank) {
  auto& own = worker(rank);
  own.busy = 0;
  own.alive = 0;
  announce();
}

// ---- gate -------------------------------------------------------------------------------------------------------

void Control::close_gate(std::uint64_t barriers_per_round) {
  do {
    header_->close_after = barriers_per_round == 0 ? 0 : round_after(barriers_per_round);
    header_->closed = 1;
  } while (barriers_per_round != 0 && max_arrived() > header_->close_after.load());
}

bool Control::drained() const {
  const std::uint64_t after = header_->close_after.load();
  for (std::uint32_t i = 0; i < header_->workers; ++i)
    if (lines_[i].alive.load() && (lines_[i].busy.load() || lines_[i].arrived.load() < after)) return false;
  return true;
}

void Control::open_gate() {
  header_->closed = 0;
  header_->close_after = 0;
  announce();
}

bool Control::enter(std::uint32_t rank, double timeout_s) {
  auto& own = worker(rank);
  return wait_until(
      [&] {
        own.busy = 1;  // first the flag, then the look: the parent does the two the other way round
        if (!header_->closed.load() || own.arrived.load() < header_->close_after.load()) return true;
        own.busy = 0;
        return false;
      },
      timeout_s);
}

void Control::exit(std::uint32_t rank) { worker(rank).busy = 0; }

void Control::set_phase(std::uint32_t rank, Phase phase) {
  auto& own = worker(rank);
  own.phase.store(static_cast<std::uint32_t>(phase), kRelaxed);
  bump(own.beats, 1);
}

void Control::stop() {
  header_->stop = 1;
  announce();
}

}  // namespace hogwild
