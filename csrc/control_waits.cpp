// Waits between the processes of a run: futex waits, the barrier, the gate. The rest is in control.cpp.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <ctime>

#include "control.h"

namespace hogwild {

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
    const timespec nap{0, 5'000'000};  // bounds the delay after a missed wake-up
    syscall(SYS_futex, &header_->event, FUTEX_WAIT, seen, &nap, nullptr, 0);
  }
}

bool Control::wait_for_work(std::uint32_t rank, double timeout_s, bool takes_over) {
  worker(rank);
  bool again = false;
  wait_until(
      [&] {
        bool held = again = false;
        for (std::uint32_t i = 0; i < header_->workers; ++i) {
          again |= lines_[i].reclaimed.load() != kNoTicket;
          held |= lines_[i].held.load() != kNoTicket;
        }
        again |= header_->next.load() < header_->total.load();  // leased meanwhile
        again |= takes_over && takes_over_at(rank) <= now_ns();
        return again || !(held || header_->open.load()) || header_->stop.load();
      },
      timeout_s);
  return again && !header_->stop.load();
}

bool Control::awaits_update(std::uint32_t rank) const { return lines_[rank].awaited.load() > header_->version.load(); }

bool Control::all_await() const {
  for (std::uint32_t i = 0; i < header_->workers; ++i)
    if (lines_[i].alive.load() && !awaits_update(i)) return false;
  return true;
}

bool Control::wait_update(std::uint32_t rank, double timeout_s) {
  worker(rank);
  return wait_until([&] { return !awaits_update(rank) || all_await() || header_->stop.load(); }, timeout_s);
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

// All surviving workers get the same result: a worker that had not arrived when the barrier opened is dead or gone, and
// one that joins later states that in `joined`.
std::vector<std::uint32_t> Control::participants(std::uint64_t generation) const {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t i = 0; i < header_->workers; ++i)
    if (lines_[i].arrived.load() >= generation && lines_[i].joined.load() < generation) ranks.push_back(i);
  return ranks;
}

// The maximum over all workers, also those that are gone: barrier numbers must never restart, else a worker that
// arrived at an earlier barrier would count as arrived now.
std::uint64_t Control::max_arrived() const {
  std::uint64_t latest = 0;
  for (std::uint32_t i = 0; i < header_->workers; ++i) latest = std::max(latest, lines_[i].arrived.load());
  return latest;
}

// The end of a round that no worker can have passed yet, unless the caller was delayed. So the caller must check again
// after it has published its choice.
std::uint64_t Control::round_after(std::uint64_t barriers_per_round) const {
  const std::uint64_t rounds = (max_arrived() + barriers_per_round - 1) / barriers_per_round;
  return (rounds + 1) * barriers_per_round;
}

bool Control::join(std::uint32_t rank, std::uint64_t barriers_per_round, double timeout_s) {
  auto& own = worker(rank);
  own.busy = 0;
  own.awaited = 0;
  if (barriers_per_round == 0) {
    own.alive = 1;
    return true;
  }
  while (!own.alive.load()) {  // after a timeout, the next call keeps the choice of the first
    std::uint64_t generation = max_arrived() == 0 ? 0 : round_after(barriers_per_round);
    if (header_->closed.load()) generation = std::max(generation, header_->close_after.load());
    own.joined = own.arrived = generation;
    own.alive = 1;
    // Others passed it while this worker was delayed, also such as have left or died since: they would count as arrived.
    // Or the gate was closed for a later round, and the parent may have found nobody inside before this worker was alive.
    if (max_arrived() > generation || (header_->closed.load() && header_->close_after.load() > generation)) {
      own.alive = 0;
      announce();
    }
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
        own.busy = 1;  // sets its flag before it checks the gate; the parent closes the gate before it checks the flags
        if (!header_->closed.load() || own.arrived.load() < header_->close_after.load()) return true;
        own.busy = 0;
        return false;
      },
      timeout_s);
}

void Control::exit(std::uint32_t rank) { worker(rank).busy = 0; }

void Control::stop() {
  header_->stop = 1;
  announce();
}

}  // namespace hogwild
