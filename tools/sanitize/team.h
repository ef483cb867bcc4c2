// Memory and threads of the sanitizers' programs: flat buffers, locks, and as many threads as there are workers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "robust_mutex.h"

namespace hogwild {

constexpr int kThreads = 3;
constexpr std::int64_t kN = 3 * 4096 + 17, kLocks = 2;

inline std::atomic<long> operations{0};

template <class T>
struct Buffer {
  explicit Buffer(double value = 0)
      : memory(static_cast<T*>(std::aligned_alloc(128, (kN * sizeof(T) + 127) / 128 * 128)), std::free) {
    std::fill(memory.get(), memory.get() + kN, static_cast<T>(value));
  }
  T* data() const { return memory.get(); }
  double sum() const {
    double total = 0;
    for (std::int64_t i = 0; i < kN; ++i) total += static_cast<double>(memory.get()[i]);
    return total;
  }
  std::unique_ptr<T, decltype(&std::free)> memory;
};

struct Locks {
  Locks() : memory(static_cast<RobustMutex*>(std::aligned_alloc(128, kLocks * sizeof(RobustMutex))), std::free) {
    for (int i = 0; i < kLocks; ++i) memory.get()[i].init();
  }
  RobustMutex* data() const { return memory.get(); }
  std::unique_ptr<RobustMutex, decltype(&std::free)> memory;
};

inline void together(const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kThreads; ++rank) threads.emplace_back(body, rank);
  for (auto& thread : threads) thread.join();
}

}  // namespace hogwild
