// A lock between processes that survives the death of its holder: the next process gets the lock and is told that the
// holder died. Host only. Each mutex has a 128-byte line of its own, so that neighbours do not share a cache line pair.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>

namespace hogwild {

struct alignas(128) RobustMutex {
  enum class Outcome { held, recovered, busy };  // recovered: held, and its last owner died while it held it

  pthread_mutex_t mutex;

  void init() {
    pthread_mutexattr_t attributes;
    check(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
    check(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_mutexattr_setpshared");
    check(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust");
    check(pthread_mutex_init(&mutex, &attributes), "pthread_mutex_init");
    pthread_mutexattr_destroy(&attributes);
  }

  // Blocks until the lock is held. True if its last owner died while it held it: the guarded data may be half written.
  bool lock() { return taken(pthread_mutex_lock(&mutex), "pthread_mutex_lock") == Outcome::recovered; }

  // The same without waiting: `busy` if another process holds it.
  Outcome try_lock() {
    const int error = pthread_mutex_trylock(&mutex);
    return error == EBUSY ? Outcome::busy : taken(error, "pthread_mutex_trylock");
  }

  // The same, waiting at most `timeout_s` seconds, for callers that must not hang on a holder that is stopped.
  Outcome lock_within(double timeout_s) {
    timespec until;
    clock_gettime(CLOCK_REALTIME, &until);  // of the clocks that pthread_mutex_timedlock knows, the only one
    const auto nanoseconds = until.tv_nsec + static_cast<long long>(timeout_s * 1e9);
    until.tv_sec += nanoseconds / 1'000'000'000;
    until.tv_nsec = nanoseconds % 1'000'000'000;
    const int error = pthread_mutex_timedlock(&mutex, &until);
    return error == ETIMEDOUT ? Outcome::busy : taken(error, "pthread_mutex_timedlock");
  }

  // The thread (its number in the kernel) that holds the lock, 0 if none. A guess unless the holder stands still.
  int holder() const { return __atomic_load_n(&mutex.__data.__owner, __ATOMIC_RELAXED); }

  void unlock() { check(pthread_mutex_unlock(&mutex), "pthread_mutex_unlock"); }

 private:
  Outcome taken(int error, const char* call) {
    if (error != EOWNERDEAD) {
      check(error, call);
      return Outcome::held;
    }
    check(pthread_mutex_consistent(&mutex), "pthread_mutex_consistent");
    return Outcome::recovered;
  }

  static void check(int error, const char* call) {
    if (error != 0) throw std::runtime_error(std::string(call) + ": " + std::strerror(error));
  }
};

// Holds a mutex for a scope; `recovered` says that the previous owner died.
class RobustGuard {
 public:
  explicit RobustGuard(RobustMutex& mutex) : RobustGuard(mutex, mutex.lock() ? Outcome::recovered : Outcome::held) {}
  // Gives up after `timeout_s` seconds: then it is not `held`.
  RobustGuard(RobustMutex& mutex, double timeout_s) : RobustGuard(mutex, mutex.lock_within(timeout_s)) {}
  ~RobustGuard() {
    if (held) mutex_.unlock();
  }
  RobustGuard(const RobustGuard&) = delete;
  RobustGuard& operator=(const RobustGuard&) = delete;

 private:
  using Outcome = RobustMutex::Outcome;
  RobustGuard(RobustMutex& mutex, Outcome outcome)
      : mutex_(mutex), held(outcome != Outcome::busy), recovered(outcome == Outcome::recovered) {}
  RobustMutex& mutex_;

 public:
  const bool held, recovered;
};

}  // namespace hogwild
