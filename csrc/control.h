// The control block of a run: the state that coordinates workers and parent, in one block of shared memory. Host only.
// It holds no parameters. Many processes write it; a comment at each field names its writers.
//
// Fields that different processes write are in separate 128-byte lines (adjacent-line prefetch). Nothing here waits for
// a dead process: locks are robust, waits watch `alive`, which the parent clears at a death.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "robust_mutex.h"
#include "timeline.h"

namespace hogwild {

constexpr std::int64_t kNoTicket = -1;
constexpr int kDelayBins = 256;  // the last bin also holds every larger delay
constexpr int kGapBins = 64;     // powers of two; the outer ones also hold what lies beyond
constexpr int kLeastGap = -56;   // exponent of the first of them
constexpr int kLeases = 1024;

// kLock: waits for the lock of the model; kSleep: a straggler that is made to wait.
enum class Phase : std::uint32_t { kStarting, kData, kGradient, kUpdate, kBarrier, kPaused, kDone, kLock, kSleep };
constexpr int kPhases = 9;

// Of a ticket in hand: kAlone, one worker computes it; kShared, another one does so too; kClaimed, this worker's
// gradient counts; kOvertaken, that of the other one does, and this worker has no ticket any more.
enum class Claim : std::uint32_t { kAlone, kShared, kClaimed, kOvertaken };
// A ticket is taken over once it is out that many times as long as the taker's last.
constexpr std::int64_t kPatience = 2;

// The statistics of one worker since the run began; a resumed run continues with those of its checkpoint. Only that
// worker writes them; other processes may read meanwhile.
struct alignas(128) WorkerStats {
  std::atomic<std::uint64_t> pushes;             // applied
  std::atomic<std::uint64_t> refused;            // pushes refused for a non-finite gradient
  std::atomic<std::uint64_t> dropped;            // gradients that the algorithm did not use
  std::atomic<std::uint64_t> nonfinite;          // non-finite gradient elements seen
  std::atomic<std::uint64_t> recovered;          // locks taken over from a dead owner
  std::atomic<std::uint64_t> averaged, skipped;  // chunks that pair averages averaged and skipped
  std::atomic<std::uint64_t> overtook;           // tickets that it completed in place of a slower worker
  std::atomic<std::uint64_t> delay_sum, delay_max;
  std::atomic<double> gap_sq, step_sq;  // sums over pushes of ||x - snapshot||^2 and ||step||^2
  std::atomic<double> loss_sum;         // over steps with a finite loss
  std::atomic<std::uint64_t> losses;    // number of losses in loss_sum
  std::atomic<std::uint64_t>
      samples;  // gradients taken, in samples (a replaced worker's work counts where it was done)
  std::atomic<double> seconds[kPhases];  // in each phase, until the last change of it
  std::atomic<std::uint64_t> delays[kDelayBins];
  std::atomic<std::uint64_t>
      gaps[kGapBins];  // pushes by the power of two of their gap, root mean square; not those of 0
};

// The current state of one worker. Written by that worker; `alive` and `reclaimed` also by the parent, and by whichever
// worker repairs the tickets after one was killed while it took a ticket; `held` and `claim` also by a worker that takes
// the ticket over, under the lock of the tickets. Of a dead worker the parent ends the phase.
struct alignas(128) WorkerLine {
  std::atomic<std::uint32_t> alive;
  std::atomic<std::uint32_t> busy;  // inside an update: from the end of a gradient to the next request
  std::atomic<std::uint32_t> phase;
  std::atomic<std::uint32_t> contributes;  // a finite gradient to the current round (synchronous algorithms)
  std::atomic<std::uint64_t> beats;        // phase changes so far; if they stop, the worker has stalled
  std::atomic<std::uint64_t> arrived;      // the last barrier at which it arrived (1, 2, ...)
  std::atomic<std::uint64_t> joined;       // it takes part in barriers after this one
  std::atomic<std::int64_t> held;          // ticket in hand
  std::atomic<std::int64_t> reclaimed;     // a dead worker's ticket, waiting to be assigned again
  std::atomic<std::uint64_t> completed;    // tickets: its position in its part of the data; outlives the process
  std::atomic<std::uint64_t> completing;   // the value of `completed` once the ticket in hand is done
  std::atomic<std::uint64_t> steps;        // pushes into its own buffers; goes with them to another rank
  std::atomic<std::uint64_t> pulled;       // version of its snapshot
  std::atomic<std::uint64_t> started;      // version when its current push began
  std::atomic<std::uint64_t> awaited;      // version of the update that it waits for; a version already reached: none
  std::atomic<std::uint64_t> since;        // when its phase began or was set again, ns of the run + 1; 0: in none
  std::atomic<std::uint32_t> delay;        // of its last push
  std::atomic<Claim> claim;                // to the ticket in hand
  std::atomic<std::uint64_t> taken;  // when it took that, ns of the run + 1; 0: no ticket since `took` was measured
  std::atomic<std::uint64_t> took;   // ns from taking its last ticket to asking for the next
  WorkerStats stats;
  Ring timeline;
};

// Tickets from `ticket` on have the numbers from `number` on in a run of several boxes, up to the next lease.
struct Lease {
  std::atomic<std::int64_t> ticket, number;
};

struct Header {
  alignas(128) std::atomic<std::uint64_t> magic;
  std::uint32_t workers, stripes;
  std::atomic<std::uint64_t> origin;  // of the run's clock, ns of CLOCK_MONOTONIC; of a resumed run, before its start
  std::atomic<std::uint64_t> parameters;            // of the model, over which the gap of a push is a mean
  alignas(128) std::atomic<std::uint64_t> version;  // applied pushes
  alignas(128) std::atomic<double> lr_max;
  alignas(128) std::atomic<std::uint32_t> stop;    // parent: assign no more tickets
  alignas(128) std::atomic<std::uint32_t> closed;  // parent: the gate
  std::atomic<std::uint64_t> close_after;          // ... for workers that have arrived at this barrier
  alignas(128) std::atomic<std::uint32_t> event;   // futex word: bumped at every arrival, opening, death
  alignas(128) RobustMutex tickets;                // guards next, total, reclaimed, and taking
  std::atomic<std::int64_t> next, total;
  std::atomic<std::uint64_t> returned;  // tickets that came back from dead workers
  std::atomic<std::uint32_t> open;      // more tickets may be leased
  std::atomic<std::uint32_t> leases;    // entries of `lease`, which are only appended
  Lease lease[kLeases];
  alignas(128) RobustMutex model;       // the one lock of the `locked` policy; guards gathered
  std::atomic<std::uint64_t> gathered;  // gradients in the sum for the next update
  alignas(128) RobustMutex turns;       // of a run that is recorded under the `locked` policy: one turn at a time
  std::atomic<std::uint64_t> turn;      // turns begun, in a run that is recorded
};

template <class T, class U>
void bump(std::atomic<T>& counter, U amount) {  // statistics have one writer: no read-modify-write needed
  constexpr auto relaxed = std::memory_order_relaxed;
  counter.store(counter.load(relaxed) + static_cast<T>(amount), relaxed);
}

class Control {
 public:
  // Bytes of a block for that many workers and stripes; a multiple of 128.
  static std::size_t bytes(std::uint32_t workers, std::uint32_t stripes);
  // A view of the block at `address`; `create` first writes a new block there. Throws if the block does not match this
  // build.
  Control(std::uintptr_t address, std::uint32_t workers, std::uint32_t stripes, bool create);

  std::uint32_t workers() const { return header_->workers; }
  std::uint32_t stripes() const { return header_->stripes; }
  std::uintptr_t stripe_locks() const { return reinterpret_cast<std::uintptr_t>(stripe_locks_); }
  Header& header() { return *header_; }
  WorkerLine& worker(std::uint32_t rank);

  // Tickets. A ticket is the number of a batch. It is assigned to a worker, which completes it. If the worker dies
  // first, the ticket is assigned again.

  // The worker's current ticket if it is not completed, else a new one. kNoTicket: none left, or the run is stopping.
  // `takes_over`: if none is left, that of another worker which has had it for long. `ns`: now, on the run's clock.
  std::int64_t take(std::uint32_t rank, bool takes_over, std::uint64_t ns);
  // Before the gradient is used. False: another worker's gradient of that ticket counts, and this worker has no ticket.
  bool claim(std::uint32_t rank);
  void disclaim(std::uint32_t rank);   // the gradient was not used after all; the ticket stays in hand
  bool overtaken(std::uint32_t rank);  // another worker's gradient counts, and this one has not claimed it yet
  std::uint64_t takes_over_at(std::uint32_t rank);  // when it can take a ticket over, ns of the run; UINT64_MAX: never
  void complete(std::uint32_t rank);
  // For a worker without a ticket: waits until a ticket can be taken (true) or no ticket is outstanding (false).
  bool wait_for_work(std::uint32_t rank, double timeout_s, bool takes_over);
  // Parent, after a death: not alive; its ticket will be assigned again. False: not yet, for another process has held
  // the lock of the tickets for `timeout_s` seconds.
  bool mark_dead(std::uint32_t rank, double timeout_s);
  std::vector<std::int64_t> outstanding() const;  // assigned but not completed, ascending; takes no lock
  // Parent, before any worker starts: the tickets `again`, then those from `next` to `total`.
  void assign(std::int64_t next, std::int64_t total, const std::vector<std::int64_t>& again);
  // The courier of a box: `count` more tickets, which have the numbers from `first` on in the run of all boxes. `more`:
  // workers without a ticket wait for the next lease. Throws if there have been kLeases that did not continue the last.
  void lease(std::int64_t first, std::int64_t count, bool more);
  std::int64_t number(std::int64_t ticket) const;  // of a ticket, in the run of all boxes; itself without leases

  // Pushes. delay = version when the push began - version of the snapshot; a push that also writes the next snapshot
  // gives it version (began + 1): updates that others committed meanwhile count as not seen, although some elements
  // include them.
  std::uint64_t begin_push(std::uint32_t rank, bool locked);
  // Returns the delay of the push, 0 if it was not applied: refused for non-finite elements, or dropped without any.
  std::uint64_t end_push(std::uint32_t rank, bool locked, bool applied, std::uint64_t nonfinite, double gap_sq,
                         double step_sq);
  // A synchronous worker's share of a round; the one worker with `commits` raises the version.
  void end_round(std::uint32_t rank, bool commits, std::uint64_t nonfinite, double step_sq);
  // Gathering, between begin_push and end_gather: gradients are added to a sum, and an update applies the sum. `taken`:
  // the gradient was added and its ticket is completed. Else it was refused for non-finite elements, and its ticket is
  // completed too; or it was cancelled, and the worker keeps its ticket. `waits`: the worker waits for the update with
  // this gradient. Returns the delay, 0 if it was not taken.
  std::uint64_t gather(std::uint32_t rank, bool taken, bool waits, std::uint64_t nonfinite);
  bool exhausted() const;           // no ticket is left for which a gradient could still come
  void commit(std::uint32_t rank);  // the sum has been applied: the next version, which `rank` has read
  void end_gather(std::uint32_t rank, bool locked, double gap_sq, double step_sq);
  bool awaits_update(std::uint32_t rank) const;
  bool all_await() const;  // all remaining workers wait for an update, so that none of them would make it
  // True if the update has been made, all workers wait for one, or the run is stopping; false: timed out.
  bool wait_update(std::uint32_t rank, double timeout_s);
  void pulled(std::uint32_t rank);
  // Counts the chunks of an exchange or a pair average, and the locks taken over from dead processes.
  void count_exchange(std::uint32_t rank, std::uint64_t averaged, std::uint64_t skipped, std::uint64_t recovered);
  void record_loss(std::uint32_t rank, double loss, std::uint64_t samples);
  double raise_lr_max(double lr);
  // The one lock of the `locked` policy, for exchanges outside a push.
  void lock_model(std::uint32_t rank);
  void unlock_model() { header_->model.unlock(); }

  // Turns, if the run is recorded: what a worker does to the run between two waits. Returns the number of the turn, from
  // 0. `alone`: no other turn begins before this one has ended.
  std::uint64_t begin_turn(std::uint32_t rank, bool alone);
  void end_turn(bool alone);

  // Barrier. Every worker compares all arrivals itself, so there is no central count that a death could make wrong.
  std::uint64_t arrive(std::uint32_t rank);
  bool wait_barrier(std::uint32_t rank, std::uint64_t generation, double timeout_s);  // false: timed out
  std::vector<std::uint32_t> participants(std::uint64_t generation) const;
  // Joins at the end of a round (a multiple of `barriers_per_round` barriers), when all others are there too.
  bool join(std::uint32_t rank, std::uint64_t barriers_per_round, double timeout_s);
  void leave(std::uint32_t rank);

  // Gate. While it is closed no worker starts an update; when it is drained no worker is inside one, and the parent may
  // copy a consistent model.
  void close_gate(std::uint64_t barriers_per_round);
  bool drained() const;
  void open_gate();
  bool enter(std::uint32_t rank, double timeout_s);  // worker, before an update; waits while the gate is closed
  void exit(std::uint32_t rank);
  // A phase begins now, or is still going on: a sign of life. Its time is counted, and a change goes to the timeline.
  void set_phase(std::uint32_t rank, Phase phase);
  // The same at `ns` of the run's clock, for simulated workers; not before the phase that ends.
  void set_phase_at(std::uint32_t rank, Phase phase, std::uint64_t ns);
  std::uint64_t now_ns() const;  // on the run's clock
  // The records from number `from` on that the ring still has, the number after them, and how many were lost before.
  struct Timeline {
    std::vector<std::uint64_t> records;
    std::uint64_t next, lost;
  };
  Timeline timeline(std::uint32_t rank, std::uint64_t from);
  void stop();
  // Every lock of the block that is held: its name, and the thread that holds it (its number in the kernel).
  std::vector<std::pair<std::string, int>> lock_holders() const;

 private:
  struct TicketGuard;
  void repair_tickets();
  std::int64_t take_over(WorkerLine& own, std::uint64_t ns);
  std::uint64_t ripe_at(const WorkerLine& own, const WorkerLine& other) const;
  WorkerLine* other_holder(const WorkerLine& own, std::int64_t ticket);
  std::uint64_t max_arrived() const;
  std::uint64_t round_after(std::uint64_t barriers_per_round) const;
  void announce();
  void count_push(WorkerLine& own, std::uint64_t delay, double gap_sq, double step_sq);
  void count_gap(WorkerStats& stats, double gap_sq);
  void end_phase(WorkerLine& dead) const;
  template <class Ready>
  bool wait_until(Ready ready, double timeout_s);

  Header* header_;
  RobustMutex* stripe_locks_;
  WorkerLine* lines_;
};

}  // namespace hogwild
