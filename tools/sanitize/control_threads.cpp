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
  std::atomic<long> deaths{0}, twice{0}, operations{0}, overtaken{0};
  std::atomic<bool> dead[kWorkers] = {}, finished[kWorkers] = {};
};

// One worker's loop; its death is the end of its thread, with whatever it holds.
class Worker {
 public:
  Worker(Crew& crew, std::uint32_t rank, long life, std::uint64_t barriers, bool takes_over)
      : crew_(crew),
        control_(crew.attach()),
        rank_(rank),
        barriers_(barriers),
        takes_over_(takes_over),
        random_(crew.random + 977 * life) {}

  template <class Update>
  void run(const Update& update) {
    join();
    while (true) {
      const std::int64_t ticket = take();
      if (ticket == kNoTicket) break;
      crew_.operations.fetch_add(1, std::memory_order_relaxed);
      control_.set_phase(rank_, Phase::kGradient);
      if (dies(Death::with_ticket)) return;
      if (takes_over_ && random_() % 5 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random_() % 500));
      if (!control_.claim(rank_)) {
        crew_.overtaken.fetch_add(1);
        continue;
      }
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
    if (random_() % (takes_over_ ? 97 : 997) != static_cast<unsigned>(where)) return false;
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
    while ((ticket = control_.take(rank_, takes_over_, control_.now_ns())) == kNoTicket) {
      control_.leave(rank_);
      while (!control_.wait_for_work(rank_, kPollS, takes_over_))
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
  const bool takes_over_;
  std::uint64_t generation_ = 0;
  std::minstd_rand random_;
};

struct Totals {
  long begun = 0, missing = 0, extra = 0, deaths = 0, overtaken = 0, copies = 0, torn = 0, looks = 0;
  bool right = true;
};

// One run. The parent buries and replaces the dead, copies the model behind the closed gate, looks at everything
// meanwhile.
template <class Update>
void run(Totals& totals, std::int64_t tickets, unsigned seed, std::uint64_t barriers, bool takes_over,
         const Update& update) {
  Crew crew(tickets, seed);
  Control control = crew.attach();
  std::vector<std::thread> threads(kWorkers);
  long lives = 0, torn = 0;
  const auto start = [&](std::uint32_t rank) {
    threads[rank] = std::thread([&crew, rank, life = ++lives, barriers, takes_over, &update] {
      Worker(crew, rank, life, barriers, takes_over).run(update);
    });
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
    ++totals.looks;
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
    ++totals.copies;
    control.open_gate();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  for (auto& thread : threads) thread.join();
  long total = 0, missing = 0;
  for (const int count : crew.done) {
    total += count;
    missing += count == 0;
  }
  totals.begun += crew.operations;
  totals.missing += missing;
  totals.extra += total - static_cast<long>(tickets);
  totals.deaths += crew.deaths;
  totals.overtaken += crew.overtaken;
  totals.torn += torn;
  totals.right &= missing == 0 && torn == 0 && total == tickets + crew.twice && control.outstanding().empty() &&
                  control.lock_holders().empty();
}

// `runs` runs of that many tickets each.
template <class Update>
bool scenario(const char* name, long runs, std::int64_t tickets, unsigned seed, std::uint64_t barriers, bool takes_over,
              const Update& update) {
  Totals sums;
  for (long number = 0; number < runs; ++number)
    run(sums, tickets, seed + static_cast<unsigned>(7919 * number), barriers, takes_over, update);
  std::printf(
      "%s: %ld tickets, %ld begun, %ld lost, %ld done twice, %ld overtaken, %ld deaths, %ld copies (%ld torn), %ld "
      "looks%s\n",
      name, runs * static_cast<long>(tickets), sums.begun, sums.missing, sums.extra, sums.overtaken, sums.deaths,
      sums.copies, sums.torn, sums.looks, sums.right ? "" : ": WRONG");
  std::fflush(stdout);
  return sums.right;
}

}  // namespace

int main(int count, char** arguments) {
  const std::int64_t tickets = count > 1 ? std::atol(arguments[1]) : 20'000;
  const unsigned seed = count > 2 ? static_cast<unsigned>(std::atol(arguments[2])) : 1;
  const auto push = [](Worker& w, std::int64_t ticket) { return w.push(ticket); };
  bool right = scenario("pushes", 1, tickets, seed, 0, false, push);
  right &= scenario("gathering", 1, tickets, seed, 0, false,
                    [](Worker& w, std::int64_t ticket) { return w.gather(ticket, false); });
  right &= scenario("gathering, waiting", 1, tickets, seed, 0, false,
                    [](Worker& w, std::int64_t ticket) { return w.gather(ticket, true); });
  right &=
      scenario("rounds", 1, tickets, seed, 2, false, [](Worker& w, std::int64_t ticket) { return w.round(ticket); });
  right &= scenario("tickets taken over", tickets / 40, 2 * kWorkers, seed, 0, true, push);
  return right ? 0 : 1;
}
