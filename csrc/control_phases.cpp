// The phases of the workers of a control block: their times, and their timeline. The rest is in control.cpp.
#include <algorithm>
#include <ctime>

#include "control.h"

namespace hogwild {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// One clock for all processes of a machine.
std::uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t Control::now_ns() const { return monotonic_ns() - header_->origin.load(kRelaxed); }

void Control::set_phase(std::uint32_t rank, Phase phase) { set_phase_at(rank, phase, now_ns()); }

void Control::set_phase_at(std::uint32_t rank, Phase phase, std::uint64_t ns) {
  auto& own = worker(rank);
  const std::uint32_t before = own.phase.load(kRelaxed), now = static_cast<std::uint32_t>(phase);
  const std::uint64_t since = own.since.load(kRelaxed);
  if (since > 0) {
    ns = std::max(ns, since - 1);
    bump(own.stats.seconds[before], 1e-9 * static_cast<double>(ns - (since - 1)));
  }
  own.since.store(ns + 1, kRelaxed);
  if (before != now || since == 0) {
    own.phase.store(now, kRelaxed);
    own.timeline.push(timeline_record(ns, now, own.delay.load(kRelaxed)));
  }
  bump(own.beats, 1);
}

// The time until another process has this rank is that of no phase.
void Control::end_phase(WorkerLine& dead) const {
  const std::uint64_t since = dead.since.exchange(0);
  const std::uint64_t ns = std::max(now_ns(), since);
  if (since > 0) bump(dead.stats.seconds[dead.phase.load(kRelaxed)], 1e-9 * static_cast<double>(ns - (since - 1)));
  dead.timeline.push(timeline_record(ns, static_cast<std::uint32_t>(Phase::kStarting), 0));
}

// A record that was written over while it was copied is not among the last kRecords any more.
Control::Timeline Control::timeline(std::uint32_t rank, std::uint64_t from) {
  const Ring& ring = worker(rank).timeline;
  const auto first = [&](std::uint64_t head) {
    return std::max(from, head < Ring::kRecords ? 0 : head - (Ring::kRecords - 1));  // the next one may be half written
  };
  const std::uint64_t head = ring.head.load(std::memory_order_acquire), begin = std::min(first(head), head);
  std::vector<std::uint64_t> records;
  for (std::uint64_t number = begin; number < head; ++number)
    records.push_back(ring.records[number % Ring::kRecords].load(std::memory_order_acquire));
  const std::uint64_t kept = std::min(std::max(begin, first(ring.head.load(kRelaxed))), head);
  records.erase(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(kept - begin));
  return {std::move(records), head, kept - std::min(from, kept)};
}

}  // namespace hogwild
