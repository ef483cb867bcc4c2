// A CUDA driver without a GPU, for tests: memory of a device is a memfd, addresses are those of this process. It is as
// strict as the real driver about sizes, order and access. Environment variables describe the machine: FAKE_GPUS=3,
// FAKE_GPU_KIB=1024 (memory of each), FAKE_APART="0-1 1-0" (pairs without peer access), FAKE_PLAIN="1" (devices
// without virtual memory management), FAKE_ATOMICS=1 (native atomics everywhere).
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

#include "../../csrc/driver.h"

// Present if this is the driver of an emulated GPU (tools/cuda_emulator). The two count their memory together.
extern "C" __attribute__((weak)) void emulator_charge(int device, long bytes);

namespace {

using namespace hogwild::driver;

constexpr int kInvalidValue = 1, kNotInitialized = 3, kInvalidDevice = 101;
constexpr std::size_t kGrain = 64 << 10;

struct Block {
  int fd, device;
  std::size_t bytes;
  bool is_own;
};
struct Mapping {
  Handle handle;
  std::size_t bytes;
};

bool is_ready = false;
Handle next = 1;
std::map<Handle, Block> blocks;
std::map<Address, std::size_t> reserved;
std::map<Address, Mapping> mapped;
std::map<int, std::size_t> used;

long number(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atol(text);
}
bool lists(const char* name, const std::string& word) {
  const char* text = std::getenv(name);
  std::istringstream words(text == nullptr ? "" : text);
  for (std::string found; words >> found;)
    if (found == word) return true;
  return false;
}
int devices() { return static_cast<int>(number("FAKE_GPUS", 2)); }
bool is_device(int device) { return device >= 0 && device < devices(); }
std::size_t device_room() { return static_cast<std::size_t>(number("FAKE_GPU_KIB", 64 << 10)) << 10; }
bool are_apart(int device, int peer) {
  return lists("FAKE_APART", std::to_string(device) + "-" + std::to_string(peer));
}
void* at(Address address) { return reinterpret_cast<void*>(address); }
bool is_reserved(Address address, std::size_t bytes) {
  for (const auto& [start, size] : reserved)
    if (address >= start && address + bytes <= start + size) return true;
  return false;
}
void charge(int device, long bytes) {
  used[device] += bytes;
  if (emulator_charge != nullptr) emulator_charge(device, bytes);
}
void close_block(Handle handle) {
  const Block& block = blocks.at(handle);
  close(block.fd);
  if (block.is_own) charge(block.device, -static_cast<long>(block.bytes));
  blocks.erase(handle);
}

}  // namespace

extern "C" {

int cuInit(unsigned) {
  is_ready = true;
  return 0;
}
int cuDeviceGetCount(int* count) {
  *count = devices();
  return is_ready ? 0 : kNotInitialized;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (!is_device(device)) return kInvalidDevice;
  if (attribute == kPlaced || attribute == kByFileDescriptor)
    *value = !lists("FAKE_PLAIN", std::to_string(device));
  else
    *value = attribute == kHostPointer || (attribute == kHostAtomics && number("FAKE_ATOMICS", 0) != 0);
  return 0;
}
int cuDeviceTotalMem_v2(std::size_t* bytes, int device) {
  *bytes = device_room();
  return is_device(device) ? 0 : kInvalidDevice;
}
int cuDeviceCanAccessPeer(int* can, int device, int peer) {
  if (!is_device(device) || !is_device(peer)) return kInvalidDevice;
  *can = device != peer && !are_apart(device, peer);
  return 0;
}
int cuDeviceGetP2PAttribute(int* value, int attribute, int device, int peer) {
  if (!is_device(device) || !is_device(peer) || device == peer) return kInvalidDevice;
  *value = attribute == kPeerAtomics && number("FAKE_ATOMICS", 0) != 0 && !are_apart(device, peer);
  return 0;
}
int cuGetErrorString(int error, const char** text) {
  *text = error == kInvalidValue    ? "invalid argument"
          : error == kOutOfMemory   ? "out of memory"
          : error == kInvalidDevice ? "invalid device ordinal"
                                    : "some other error";
  return 0;
}
int cuMemGetAllocationGranularity(std::size_t* bytes, const Properties* properties, int) {
  *bytes = kGrain;
  return is_device(properties->location.id) ? 0 : kInvalidDevice;
}
int cuMemCreate(Handle* handle, std::size_t bytes, const Properties* properties, unsigned long long flags) {
  const int device = properties->location.id;
  if (!is_ready) return kNotInitialized;
  if (!is_device(device) || properties->location.type != kOnDevice) return kInvalidDevice;
  if (bytes == 0 || bytes % kGrain != 0 || flags != 0 || properties->type != kPinned) return kInvalidValue;
  if (used[device] + bytes > device_room()) return kOutOfMemory;
  const int fd = memfd_create("fake-gpu", MFD_CLOEXEC);
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return kOutOfMemory;
  charge(device, static_cast<long>(bytes));
  // The device is stored in the times of the file, which every process with the descriptor can read.
  const timespec times[2] = {{device, 0}, {device, 0}};
  futimens(fd, times);
  blocks[next] = {fd, device, bytes, true};
  *handle = next++;
  return 0;
}
int cuMemRelease(Handle handle) {
  if (blocks.count(handle) == 0) return kInvalidValue;
  close_block(handle);
  return 0;
}
int cuMemExportToShareableHandle(void* descriptor, Handle handle, int type, unsigned long long) {
  if (blocks.count(handle) == 0 || type != kFileDescriptor) return kInvalidValue;
  *static_cast<int*>(descriptor) = dup(blocks.at(handle).fd);
  return 0;
}
int cuMemImportFromShareableHandle(Handle* handle, void* descriptor, int type) {
  struct stat facts;
  const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(descriptor));
  if (!is_ready) return kNotInitialized;
  if (type != kFileDescriptor || fstat(fd, &facts) != 0) return kInvalidValue;
  blocks[next] = {dup(fd), static_cast<int>(facts.st_mtim.tv_sec), static_cast<std::size_t>(facts.st_size), false};
  *handle = next++;
  return 0;
}
int cuMemAddressReserve(Address* address, std::size_t bytes, std::size_t, Address, unsigned long long) {
  if (bytes == 0 || bytes % kGrain != 0) return kInvalidValue;
  void* found = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return kOutOfMemory;
  *address = reinterpret_cast<Address>(found);
  reserved[*address] = bytes;
  return 0;
}
int cuMemAddressFree(Address address, std::size_t bytes) {
  if (reserved.count(address) == 0 || reserved[address] != bytes) return kInvalidValue;
  for (const auto& [start, mapping] : mapped)
    if (start >= address && start < address + bytes) return kInvalidValue;  // still mapped
  munmap(at(address), bytes);
  reserved.erase(address);
  return 0;
}
int cuMemMap(Address address, std::size_t bytes, std::size_t offset, Handle handle, unsigned long long) {
  if (!is_reserved(address, bytes) || mapped.count(address) != 0 || blocks.count(handle) == 0) return kInvalidValue;
  if (offset != 0 || bytes != blocks.at(handle).bytes) return kInvalidValue;
  if (mmap(at(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, blocks.at(handle).fd, 0) == MAP_FAILED)
    return kOutOfMemory;
  mapped[address] = {handle, bytes};
  return 0;
}
int cuMemUnmap(Address address, std::size_t bytes) {
  if (mapped.count(address) == 0 || mapped.at(address).bytes != bytes) return kInvalidValue;
  mmap(at(address), bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mapped.erase(address);
  return 0;
}
int cuMemSetAccess(Address address, std::size_t bytes, const Access* access, std::size_t count) {
  if (count != 1 || access->flags != kReadWrite || !is_device(access->location.id)) return kInvalidValue;
  if (mapped.count(address) == 0 || mapped.at(address).bytes != bytes) return kInvalidValue;
  const int holder = blocks.at(mapped.at(address).handle).device, device = access->location.id;
  if (device != holder && are_apart(device, holder)) return kInvalidDevice;
  return mprotect(at(address), bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : kInvalidValue;
}
}
