// Runs a grid on the CPU. A block is an operating-system thread; its device threads are fibers on it that run until
// they wait. Their order is random, one warp of each block runs as late as possible, and blocks run concurrently. A
// fault that would hang a GPU ends the process with a line that names it.
#include "grid.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
namespace {

constexpr int kWarp = 32;
constexpr std::size_t kStackBytes = 64 << 10;

[[noreturn]] void give_up(const char* why) {
  std::fprintf(stderr, "emulated GPU: %s\n", why);
  std::abort();
}

// A barrier for threads of one block. It does not wait for threads that have ended.
struct Barrier {
  int expected = 0, arrived = 0;
  unsigned generation = 0;

  void release_if_full() {
    if (arrived == 0 || arrived < expected) return;
    arrived = 0;
    ++generation;
  }
};

struct Warp {
  Barrier barrier;
  int size = 0;
  std::uint64_t slots[2][kWarp] = {};
};

struct Fiber {
  uint3 place;
  jmp_buf resume_at;
  ucontext_t context;
  int index = 0;
  unsigned shuffles = 0;
  bool has_started = false, is_done = true;
  const Barrier* waits_for = nullptr;
  unsigned generation = 0;  // generation of that barrier when the wait began
};

// A barrier for all blocks of a cooperative launch.
class GridBarrier {
 public:
  explicit GridBarrier(int blocks) : blocks_(blocks) {}

  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const unsigned before = generation_;
    if (++waiting_ == blocks_) {
      waiting_ = 0;
      ++generation_;
      all_.notify_all();
    }
    check();
    all_.wait(lock, [&] { return generation_ != before; });
  }

  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++left_;
    check();
  }

 private:
  void check() const {
    if (waiting_ > 0 && waiting_ + left_ == blocks_) give_up("a block has ended while others wait for the whole grid");
  }

  std::mutex mutex_;
  std::condition_variable all_;
  int blocks_, waiting_ = 0, left_ = 0;
  unsigned generation_ = 0;
};

// Runs one block after another on its fibers.
class BlockRunner {
 public:
  void run(const std::function<void()>& body, GridBarrier* grid) {
    const uint3 dim = blockDim;
    const int threads = static_cast<int>(dim.x * dim.y * dim.z);
    while (static_cast<int>(fibers_.size()) < threads) add();
    body_ = &body;
    grid_ = grid;
    threads_ = threads;
    block_barrier_ = grid_barrier_ = {};
    block_barrier_.expected = grid_barrier_.expected = threads;
    warps_.assign(static_cast<std::size_t>((threads + kWarp - 1) / kWarp), {});
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = *fibers_[static_cast<std::size_t>(i)];
      const auto u = static_cast<unsigned>(i);
      fiber.place = {u % dim.x, u / dim.x % dim.y, u / dim.x / dim.y};
      fiber.is_done = false;
      fiber.waits_for = nullptr;
      fiber.shuffles = 0;
      Warp& warp = warps_[static_cast<std::size_t>(i / kWarp)];
      warp.barrier.expected = ++warp.size;
    }
    late_ = static_cast<int>(random_() % warps_.size());
    for (int live = threads; live > 0;) {
      if (grid != nullptr && grid_barrier_.arrived == live) {
        grid->wait();
        grid_barrier_.arrived = 0;
        ++grid_barrier_.generation;
      }
      int ended = pass(false);
      if (ended < 0) ended = pass(true);
      if (ended < 0)
        give_up("threads of a block wait for each other at different barriers, or for a lane that has ended");
      live -= ended;
    }
    if (grid != nullptr) grid->leave();
  }

  static BlockRunner& current() {
    if (current_ == nullptr) give_up("device code runs outside a kernel");
    return *current_;
  }
  void make_current() { current_ = this; }

  void wait(Barrier& barrier) {
    Fiber& fiber = *running_;
    fiber.waits_for = &barrier;
    fiber.generation = barrier.generation;
    ++barrier.arrived;
    if (&barrier != &grid_barrier_) barrier.release_if_full();
    yield();
  }
  void wait_for_block() { wait(block_barrier_); }
  void wait_for_grid() {
    if (grid_ == nullptr) give_up("a grid that was not launched cooperatively waits for itself");
    wait(grid_barrier_);
  }

  std::uint64_t shuffle(std::uint64_t value, unsigned offset) {
    Fiber& fiber = *running_;
    Warp& warp = warps_[static_cast<std::size_t>(fiber.index / kWarp)];
    const auto lane = static_cast<unsigned>(fiber.index % kWarp);
    std::uint64_t* slots = warp.slots[fiber.shuffles++ % 2];
    slots[lane] = value;
    if (warp.barrier.expected != kWarp) give_up("a shuffle of all lanes in a warp that has fewer");
    wait(warp.barrier);
    return slots[lane + offset < kWarp ? lane + offset : lane];
  }

 private:
  // Runs every fiber that need not wait once; the late ones only if asked. Returns how many ended, or -1 if none could
  // run.
  int pass(bool with_the_late) {
    int ended = 0;
    bool moved = false;
    const auto first = static_cast<int>(random_() % static_cast<unsigned>(threads_));
    for (int i = 0; i < threads_; ++i) {
      Fiber& fiber = *fibers_[static_cast<std::size_t>((first + i) % threads_)];
      if (fiber.index / kWarp == late_ && !with_the_late) continue;
      if (fiber.is_done || (fiber.waits_for != nullptr && fiber.waits_for->generation == fiber.generation)) continue;
      fiber.waits_for = nullptr;
      moved = true;
      resume(fiber);
      if (!fiber.is_done) continue;
      ++ended;
      Warp& warp = warps_[static_cast<std::size_t>(fiber.index / kWarp)];
      for (Barrier* barrier : {&block_barrier_, &warp.barrier}) {
        --barrier->expected;
        barrier->release_if_full();
      }
    }
    return moved ? ended : -1;
  }

  void resume(Fiber& fiber) {
    running_ = &fiber;
    threadIdx = fiber.place;
    if (_setjmp(scheduler_) != 0) return;
    if (fiber.has_started) _longjmp(fiber.resume_at, 1);
    fiber.has_started = true;
    setcontext(&fiber.context);
  }

  void yield() {
    if (_setjmp(running_->resume_at) == 0) _longjmp(scheduler_, 1);
  }

  [[noreturn]] static void live() {  // the body of a fiber: one block after another, always in the same runner
    BlockRunner& runner = current();
    for (;;) {
      (*runner.body_)();
      runner.running_->is_done = true;
      runner.yield();
    }
  }

  void add() {
    auto fiber = std::make_unique<Fiber>();
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) give_up("no memory for another fiber");
    mprotect(stack, 4096, PROT_NONE);  // an overflow faults instead of changing another fiber's data
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = kStackBytes;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, reinterpret_cast<void (*)()>(&BlockRunner::live), 0);
    fiber->index = static_cast<int>(fibers_.size());
    fibers_.push_back(std::move(fiber));
  }

  static thread_local BlockRunner* current_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Warp> warps_;
  Barrier block_barrier_, grid_barrier_;
  const std::function<void()>* body_ = nullptr;
  GridBarrier* grid_ = nullptr;
  Fiber* running_ = nullptr;
  int threads_ = 0, late_ = 0;  // late: a warp that runs only if no other can
  jmp_buf scheduler_;
  std::minstd_rand random_{static_cast<unsigned>(std::random_device{}())};
};

thread_local BlockRunner* BlockRunner::current_ = nullptr;

// Runners outlive the threads on which they ran, because their stacks are expensive.
std::mutex pool_mutex;
std::deque<std::unique_ptr<BlockRunner>> pool;

std::unique_ptr<BlockRunner> take_runner() {
  const std::lock_guard<std::mutex> lock(pool_mutex);
  if (pool.empty()) return std::make_unique<BlockRunner>();
  std::unique_ptr<BlockRunner> runner = std::move(pool.back());
  pool.pop_back();
  return runner;
}

void return_runner(std::unique_ptr<BlockRunner> runner) {
  const std::lock_guard<std::mutex> lock(pool_mutex);
  pool.push_back(std::move(runner));
}

}  // namespace

void sync_block() { BlockRunner::current().wait_for_block(); }
void sync_grid() { BlockRunner::current().wait_for_grid(); }
std::uint64_t shuffle(std::uint64_t value, unsigned offset) { return BlockRunner::current().shuffle(value, offset); }

void run_grid(dim3 grid_dim, dim3 block_dim, bool is_cooperative, const std::function<void()>& device_thread) {
  const int blocks = static_cast<int>(grid_dim.x * grid_dim.y * grid_dim.z);
  GridBarrier barrier(blocks);
  std::atomic<int> next{0};
  const auto work = [&] {
    std::unique_ptr<BlockRunner> runner = take_runner();
    runner->make_current();
    for (int i = next++; i < blocks; i = next++) {
      const auto u = static_cast<unsigned>(i);
      blockIdx = {u % grid_dim.x, u / grid_dim.x % grid_dim.y, u / grid_dim.x / grid_dim.y};
      blockDim = block_dim;
      gridDim = grid_dim;
      runner->run(device_thread, is_cooperative ? &barrier : nullptr);
    }
    return_runner(std::move(runner));
  };
  std::vector<std::thread> side_by_side;
  for (int i = 0; i < (is_cooperative ? blocks : std::min(blocks, 2)); ++i) side_by_side.emplace_back(work);
  for (std::thread& thread : side_by_side) thread.join();
}

}  // namespace emulator
