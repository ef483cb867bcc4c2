// The control block under ThreadSanitizer: threads in place of the processes of a run call what workers and parent call,
// on one block, and die there. Data that the block guards (the model, the sum, the slots of a round) are plain memory,
// so that an access without the lock, the gate or the barrier is reported.
//
//   control_threads TICKETS SEED      prints one line per scenario; exit status 1 if a count is wrong
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "control.h"

using namespace hogwild;

namespace {

constexpr std::uint32_t kWorkers = 4, kStripes = 3;
constexpr double kPollS = 0.05;
constexpr int kElements = 64, kGathered = 3;

enum class Death { none, with_ticket, in_gate, in_lock, before_booking, in_ticket_lock, in_round };

// What the threads of one scenario share beside the block.
struct Crew {
  explicit Crew(std::int64_t total, unsigned seed)
      : tickets(total), random(seed), size(Control::bytes(kWorkers, kStripes)) {
    memory.reset(static_cast<char*>(std::aligned_alloc(4096, (size + 4095) / 4096 * 4096)));
    Control(address(), kWorkers, kStripes, true).assign(0, total, {});
    done.assign(total, 0);
  }
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(memory.get()); }
  Control attach() const { return Control(address(), kWorkers, kStripes, false); }

  const std::int64_t tickets;
  const unsigned random;
  const std::size_t size;
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory;
  std::vector<int> done;  // per ticket; guarded by the lock of the model
  double model[kElements] = {}, sum[kElements] = {};
  struct alignas(128) Slot {
    std::int64_t value = -1;
  } slots[kWorkers];
  std::atomic<long> deaths{0}, twice{0}, operations{0};
  std::atomic<bool> dead[kWorkers] = {}, finished[kWorkers] = {};
};

// One worker's loop; its death is the end of its thread, with whatever it holds.
class Worker {
 public:
  Worker(Crew& crew, std::uint32_t rank, long life, std::uint64_t barriers)
      : crew_(crew), control_(crew.attach()), rank_(rank), barriers_(barriers), random_(crew.random + 977 * life) {}

  template <class Update>
  void run(const Update& update) {
    join();
    while (true) {
      const std::int64_t ticket = take();
      if (ticket == kNoTicket) break;
      crew_.operations.fetch_add(1, std::memory_order_relaxed);
      control_.set_phase(rank_, Phase::kGradient);
      if (dies(Death::with_ticket)) return;
      while (!control_.enter(rank_, kPollS)) control_.set_phase(rank_, Phase::kPaused);
      if (dies(Death::in_gate)) return;
      if (!update(*this, ticket)) return;
      control_.record_loss(rank_, 0.5, 1);
      control_.complete(rank_);
      control_.exit(rank_);
      if (dies(Death::in_ticket_lock)) return;
    }
    control_.leave(rank_);
    crew_.finished[rank_] = true;
  }

  // Whether this worker dies here. The kernel hands a lock of a dead process on; that is no order that the sanitizer
  // knows, so a death is published, and read by whoever takes a lock.
  bool dies(Death where) {
    if (random_() % 997 != static_cast<unsigned>(where)) return false;
    if (where == Death::in_ticket_lock) control_.header().tickets.lock();
    if (where == Death::before_booking) crew_.twice.fetch_add(1);
    crew_.deaths.fetch_add(1);
    crew_.dead[rank_] = true;
    return true;
  }

  bool push(std::int64_t ticket) {
    control_.begin_push(rank_, true);
    crew_.deaths.load();
    for (int i = 0; i < kElements / 2; ++i) crew_.model[i] += 1;
    if (dies(Death::in_lock)) return false;
    for (int i = kElements / 2; i < kElements; ++i) crew_.model[i] += 1;
    ++crew_.done[ticket];
    control_.end_push(rank_, true, true, 0, 0.25, 0.5);
    control_.pulled(rank_);
    control_.raise_lr_max(static_cast<double>(ticket % 100));
    return !dies(Death::before_booking);
  }

  bool gather(std::int64_t ticket, bool waits) {
    control_.begin_push(rank_, true);
    crew_.deaths.load();
    for (double& x : crew_.sum) x += 1;
    ++crew_.done[ticket];
    control_.gather(rank_, true, waits, 0);
    if (control_.header().gathered >= kGathered || control_.exhausted()) apply();
    control_.end_gather(rank_, true, 0.25, 0.5);
    while (control_.awaits_update(rank_)) {
      control_.exit(rank_);
      control_.wait_update(rank_, kPollS);
      while (!control_.enter(rank_, kPollS)) control_.set_phase(rank_, Phase::kPaused);
      control_.begin_push(rank_, true);
      crew_.deaths.load();
      if (control_.awaits_update(rank_) && control_.all_await()) apply();
      control_.end_gather(rank_, true, 0, 0);
    }
    return true;
  }

  // Own slot, barrier, everybody's slots and the own part of the model, barrier.
  bool round(std::int64_t ticket) {
    crew_.slots[rank_].value = ticket;
    control_.worker(rank_).contributes = true;
    if (!meet()) return false;
    const auto present = control_.participants(generation_);
    std::size_t index = 0;
    for (std::size_t k = 0; k < present.size(); ++k) {
      if (crew_.slots[present[k]].value < 0) std::abort();
      if (present[k] == rank_) index = k;
    }
    for (std::size_t i = index; i < kElements; i += present.size()) crew_.model[i] += 1;
    control_.end_round(rank_, present.front() == rank_, 0, 0.5);
    if (dies(Death::in_round)) return false;
    if (!meet()) return false;
    control_.lock_model(rank_);
    crew_.deaths.load();
    ++crew_.done[ticket];
    control_.unlock_model();
    return true;
  }

 private:
  void join() {
    while (!control_.join(rank_, barriers_, kPollS)) control_.set_phase(rank_, Phase::kPaused);
    generation_ = control_.worker(rank_).arrived;
  }

  std::int64_t take() {
    std::int64_t ticket;
    while ((ticket = control_.take(rank_)) == kNoTicket) {
      control_.leave(rank_);
      while (!control_.wait_for_work(rank_, kPollS))
        if (control_.outstanding().empty()) return kNoTicket;
      join();
    }
    return ticket;
  }

  bool meet() {
    generation_ = control_.arrive(rank_);
    if (dies(Death::in_round)) return false;
    while (!control_.wait_barrier(rank_, generation_, kPollS)) control_.set_phase(rank_, Phase::kBarrier);
    return true;
  }

  void apply() {
    for (int i = 0; i < kElements; ++i) {
      crew_.model[i] += crew_.sum[i];
      crew_.sum[i] = 0;
    }
    control_.commit(rank_);
  }

  Crew& crew_;
  Control control_;
  const std::uint32_t rank_;
  const std::uint64_t barriers_;
  std::uint64_t generation_ = 0;
  std::minstd_rand random_;
};

// The parent: buries and replaces the dead, copies the model behind the closed gate, looks at everything meanwhile.
template <class Update>
bool scenario(const char* name, std::int64_t tickets, unsigned seed, std::uint64_t barriers, const Update& update) {
  Crew crew(tickets, seed);
  Control control = crew.attach();
  std::vector<std::thread> threads(kWorkers);
  long lives = 0, copies = 0, looks = 0, torn = 0;
  const auto start = [&](std::uint32_t rank) {
    threads[rank] = std::thread(
        [&crew, rank, life = ++lives, barriers, &update] { Worker(crew, rank, life, barriers).run(update); });
  };
  const auto watch = [&] {
    bool working = false;
    for (std::uint32_t rank = 0; rank < kWorkers; ++rank) {
      if (crew.dead[rank]) {
        threads[rank].join();
        while (!control.mark_dead(rank, 0.1)) {
        }
        crew.dead[rank] = false;
        start(rank);
      }
      working |= !crew.finished[rank];
    }
    control.outstanding();
    control.lock_holders();
    ++looks;
    return working;
  };
  for (std::uint32_t rank = 0; rank < kWorkers; ++rank) start(rank);
  while (watch()) {
    control.close_gate(barriers);
    while (!control.drained()) watch();
    crew.deaths.load();
    double first = 0, second = 0;
    for (const double x : crew.model) first += x;
    std::this_thread::yield();
    for (const double x : crew.model) second += x;
    torn += first != second;
    ++copies;
    control.open_gate();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  for (auto& thread : threads) thread.join();
  long total = 0, missing = 0;
  for (const int count : crew.done) {
    total += count;
    missing += count == 0;
  }
  const bool right = missing == 0 && torn == 0 && total == tickets + crew.twice && control.outstanding().empty() &&
                     control.lock_holders().empty();
  std::printf("%s: %ld tickets, %ld begun, %ld lost, %ld done twice, %ld deaths, %ld copies (%ld torn), %ld looks%s\n",
              name, static_cast<long>(tickets), crew.operations.load(), missing, total - static_cast<long>(tickets),
              crew.deaths.load(), copies, torn, looks, right ? "" : ": WRONG");
  std::fflush(stdout);
  return right;
}

}  // namespace

int main(int count, char** arguments) {
  const std::int64_t tickets = count > 1 ? std::atol(arguments[1]) : 20'000;
  const unsigned seed = count > 2 ? static_cast<unsigned>(std::atol(arguments[2])) : 1;
  bool right = scenario("pushes", tickets, seed, 0, [](Worker& w, std::int64_t ticket) { return w.push(ticket); });
  right &=
      scenario("gathering", tickets, seed, 0, [](Worker& w, std::int64_t ticket) { return w.gather(ticket, false); });
  right &= scenario("gathering, waiting", tickets, seed, 0,
                    [](Worker& w, std::int64_t ticket) { return w.gather(ticket, true); });
  right &= scenario("rounds", tickets, seed, 2, [](Worker& w, std::int64_t ticket) { return w.round(ticket); });
  return right ? 0 : 1;
}
