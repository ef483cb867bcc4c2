// The timeline of one worker: the latest changes of its phase, in a ring of the control block. The worker writes a record
// and then the number of records; the parent copies them, and looks at the number again: what was overwritten meanwhile
// is lost. The ring outlives its worker, and shows what it was doing when it was killed. Host only.
#pragma once

#include <atomic>
#include <cstdint>

namespace hogwild {

// A record: 63..12 nanoseconds of the run's clock, 52 days | 11..8 phase | 7..0 delay of the worker's last push, up to
// 255. The last push before the record that ends an update is that of the update.
constexpr std::uint64_t timeline_record(std::uint64_t ns, std::uint32_t phase, std::uint32_t delay) {
  return ns << 12 | phase << 8 | delay;
}

struct Ring {
  static constexpr std::uint64_t kRecords = 8192;

  alignas(128) std::atomic<std::uint64_t> head;  // records so far
  std::atomic<std::uint64_t> records[kRecords];

  void push(std::uint64_t record) {
    const std::uint64_t number = head.load(std::memory_order_relaxed);
    records[number % kRecords].store(record, std::memory_order_release);  // who reads it sees the head before it
    head.store(number + 1, std::memory_order_release);
  }
};

}  // namespace hogwild
