// A lock between processes that survives the death of its holder: the next process gets the lock and is told that the
// holder died. Host only. Each mutex has a 128-byte line of its own, so that neighbours do not share a cache line pair.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <cstring>
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
  explicit RobustGuard(RobustMutex& mutex) : mutex_(mutex), recovered(mutex.lock()) {}
  ~RobustGuard() { mutex_.unlock(); }
  RobustGuard(const RobustGuard&) = delete;
  RobustGuard& operator=(const RobustGuard&) = delete;

 private:
  RobustMutex& mutex_;

 public:
  const bool recovered;
};

}  // namespace hogwild
