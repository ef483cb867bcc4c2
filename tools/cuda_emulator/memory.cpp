#include "memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

extern "C" {
int emulator_is_idle();  // of stream.cpp
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* memory);
}

namespace emulator {
namespace {

constexpr std::uintptr_t kBase = 0x200000000000;
constexpr std::size_t kPage = 4096, kGuard = 512, kHalf = std::size_t{32} << 30, kRange = 2 * kHalf;
std::atomic<bool> is_forked{false};
constexpr unsigned char kPoison = 0xFF, kFence = 0xA5;

[[noreturn]] void fail(const char* what, const void* at, std::size_t bytes, int device) {
  std::fprintf(stderr, "emulator: %s: %zu bytes at %p of device %d\n", what, bytes, at, device);
  std::abort();
}

// A range of addresses. Parts of it are taken and given back, in pages.
class Room {
 public:
  explicit Room(std::uintptr_t start) : holes_{{start, kHalf}} {}
  std::uintptr_t take(std::size_t bytes) {
    for (auto [start, size] : holes_) {
      if (size < bytes) continue;
      holes_.erase(start);
      if (size > bytes) holes_[start + bytes] = size - bytes;
      return start;
    }
    return 0;
  }
  void give(std::uintptr_t start, std::size_t bytes) {
    auto after = holes_.lower_bound(start);
    if (after != holes_.end() && after->first == start + bytes) {
      bytes += after->second;
      after = holes_.erase(after);
    }
    if (after != holes_.begin() && std::prev(after)->first + std::prev(after)->second == start)
      std::prev(after)->second += bytes;
    else
      holes_[start] = bytes;
  }

 private:
  std::map<std::uintptr_t, std::size_t> holes_;
};

struct Device {
  explicit Device(int number) : start(kBase + number * kRange), own(start), others(start + kHalf) {
    void* const at = reinterpret_cast<void*>(start);
    descriptor = memfd_create("emulated-gpu", MFD_CLOEXEC);
    is_there =
        descriptor >= 0 && ftruncate(descriptor, kHalf) == 0 &&
        mmap(at, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == at &&
        mmap(at, kHalf, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, descriptor, 0) == at;
    pthread_atfork(nullptr, nullptr, [] { is_forked = true; });
    madvise(at, kHalf, MADV_NOHUGEPAGE);  // then a page is present only if it was used
  }
  std::uintptr_t start;
  Room own, others;
  int descriptor = -1;
  bool is_there = false;
  std::size_t used = 0;
  std::map<std::uintptr_t, std::size_t> allocated, imported;  // bytes, by address
};

struct State {
  std::mutex mutex;
  Device* devices[kMostDevices + 1] = {};
  std::vector<void*> let_go;
  std::atomic<long> charged[kMostDevices + 1] = {};
};

thread_local std::vector<int>* inside = nullptr;

// Never destroyed: memory is freed until the very end of a process.
State& state() {
  static State& state = *new State;
  return state;
}

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }
bool is_in_ranges(std::uintptr_t at) { return at - kBase < (kMostDevices + 1) * kRange; }
std::size_t whole(std::size_t bytes) { return (bytes + 2 * kGuard + kPage - 1) / kPage * kPage; }

// Call it with the mutex held.
Device* device_at(int device) {
  if (device < 0 || device > kPinned || is_forked) return nullptr;
  Device*& found = state().devices[device];
  if (found == nullptr) found = new Device(device);
  return found->is_there ? found : nullptr;
}

std::size_t taken(const Device& device) {
  return device.used + static_cast<std::size_t>(state().charged[(device.start - kBase) / kRange]);
}

bool is_fence(std::uintptr_t from, std::uintptr_t to) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  return std::all_of(bytes, bytes + (to - from), [](unsigned char byte) { return byte == kFence; });
}

// As in torch's allocator of device memory: memory is used again only when all work that was enqueued before its
// release has finished.
void release_what_was_let_go() {
  std::vector<void*> ready;
  {
    const std::lock_guard lock(state().mutex);
    ready.swap(state().let_go);
  }
  if (ready.empty()) return;
  if (emulator_is_idle()) {
    for (void* memory : ready) release(memory);
  } else {
    const std::lock_guard lock(state().mutex);
    state().let_go.insert(state().let_go.end(), ready.begin(), ready.end());
  }
}

}  // namespace

std::size_t total_bytes() {
  const char* mib = std::getenv("EMULATED_GPU_MIB");
  return (mib == nullptr ? 4096 : std::strtoull(mib, nullptr, 10)) << 20;
}

void* allocate(std::size_t bytes, int number) {
  release_what_was_let_go();
  const std::lock_guard lock(state().mutex);
  Device* device = device_at(number);
  const std::size_t pages = whole(bytes);
  if (device == nullptr || pages > total_bytes() || taken(*device) > total_bytes() - pages) return nullptr;
  const std::uintptr_t block = device->own.take(pages), start = block + kGuard;
  if (block == 0) return nullptr;
  // Freed memory has no pages. A page that is present was used after the memory was freed.
  const off_t offset = block - device->start, page = lseek(device->descriptor, offset, SEEK_DATA);
  if (page >= 0 && static_cast<std::size_t>(page - offset) < pages)
    fail("used after it was freed", reinterpret_cast<void*>(device->start + page), kPage, number);
  std::memset(reinterpret_cast<void*>(block), kFence, kGuard);
  std::memset(reinterpret_cast<void*>(start), kPoison, bytes);
  std::memset(reinterpret_cast<void*>(start + bytes), kFence, pages - kGuard - bytes);
  device->allocated[start] = bytes;
  device->used += pages;
  return reinterpret_cast<void*>(start);
}

void release(void* memory) {
  if (memory == nullptr || is_forked) return;
  const std::lock_guard lock(state().mutex);
  const std::uintptr_t start = number(memory), block = start - kGuard;
  const int number = range_of(memory);
  Device* device = device_at(number);
  if (device == nullptr || device->allocated.count(start) == 0) fail("freed, but not allocated", memory, 0, number);
  const std::size_t bytes = device->allocated[start], pages = whole(bytes);
  if (!is_fence(block, start) || !is_fence(start + bytes, block + pages))
    fail("written outside of an allocation", memory, bytes, number);
  device->allocated.erase(start);
  fallocate(device->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, block - device->start, pages);
  device->own.give(block, pages);
  device->used -= pages;
}

std::size_t free_bytes(int number) {
  release_what_was_let_go();
  const std::lock_guard lock(state().mutex);
  const Device* device = device_at(number);
  return device == nullptr ? 0 : total_bytes() - std::min(total_bytes(), taken(*device));
}

int range_of(const void* address) {
  const std::uintptr_t at = number(address);
  return is_in_ranges(at) ? static_cast<int>((at - kBase) / kRange) : -1;
}

bool is_inside() { return inside != nullptr && !inside->empty(); }

}  // namespace emulator

using namespace emulator;

extern "C" {

void emulator_enter(int device) {
  if (inside == nullptr) inside = new std::vector<int>;
  inside->push_back(device);
}
void emulator_leave() { inside->pop_back(); }

void emulator_charge(int device, long bytes) { state().charged[device] += bytes; }

int emulator_export(const void* memory, int* descriptor, std::size_t* offset, std::size_t* bytes) {
  const std::lock_guard lock(state().mutex);
  const std::uintptr_t at = number(memory);
  Device* device = device_at(range_of(memory));
  if (device == nullptr) return 1;
  const auto after = device->allocated.upper_bound(at);
  if (after == device->allocated.begin()) return 1;
  const auto& [start, size] = *std::prev(after);
  if (at - start >= size) return 1;
  *descriptor = device->descriptor;
  *offset = at - device->start;
  *bytes = start + size - at;
  return 0;
}

void* emulator_import(int process, int descriptor, std::size_t offset, std::size_t bytes, int number) {
  const std::lock_guard lock(state().mutex);
  Device* device = device_at(number);
  const std::size_t lead = offset % kPage, pages = (lead + bytes + kPage - 1) / kPage * kPage;
  const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
  const int file = device == nullptr ? -1 : open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  const std::uintptr_t block = device->others.take(pages);
  void* found = block == 0 ? MAP_FAILED
                           : mmap(reinterpret_cast<void*>(block), pages, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file, static_cast<off_t>(offset - lead));
  close(file);
  if (found == MAP_FAILED) return nullptr;
  device->imported[block] = pages;
  return reinterpret_cast<void*>(block + lead);
}

void emulator_forget(void* imported) {
  const std::lock_guard lock(state().mutex);
  const std::uintptr_t block = number(imported) / kPage * kPage;
  Device* device = device_at(range_of(imported));
  if (device == nullptr || device->imported.count(block) == 0) return;
  const std::size_t pages = device->imported[block];
  mmap(reinterpret_cast<void*>(block), pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
       0);
  device->imported.erase(block);
  device->others.give(block, pages);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  *memory = is_inside() && inside->back() >= 0 ? allocate(bytes, inside->back()) : __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  if (!is_in_ranges(number(memory))) return __libc_free(memory);
  {
    const std::lock_guard lock(state().mutex);
    state().let_go.push_back(memory);
  }
  release_what_was_let_go();
}
}
