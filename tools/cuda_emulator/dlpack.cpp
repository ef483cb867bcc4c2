// DLPack between torch, which places every tensor on the CPU, and code that uses devices. Foreign memory can count as
// memory of a device, and exported tensors name their emulated device.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "memory.h"

namespace emulator {
namespace {

// DLPack's ABI, version 0.x.
struct DLTensor {
  void* data;
  std::int32_t device_type, device_id, ndim;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
// The head of DLPackExchangeAPI, version 1.x.
struct ExchangeFunctions {
  std::uint32_t major, minor;
  const void* older;
  void *allocate, *to_managed, *from_managed;
  int (*describe)(void* object, DLTensor* out);
  void* current_stream;
};
constexpr int kDLCpu = 1, kDLCuda = 2;

struct Adopted {
  std::uintptr_t start;
  std::size_t bytes;
  int device;
  DLManagedTensor given;  // the unchanged original
};

std::mutex mutex;
std::atomic<int> count{0};
std::vector<Adopted*>& adopted = *new std::vector<Adopted*>;

void drop(DLManagedTensor* managed) {
  auto* const entry = static_cast<Adopted*>(managed->context);
  {
    const std::lock_guard lock(mutex);
    adopted.erase(std::find(adopted.begin(), adopted.end(), entry));
    --count;
  }
  *managed = entry->given;
  delete entry;
  if (managed->deleter != nullptr) managed->deleter(managed);
}

ExchangeFunctions of_torch, emulated;

int describe(void* object, DLTensor* out) {
  const int error = of_torch.describe(object, out);
  const int device = error == 0 ? device_of(static_cast<const char*>(out->data) + out->byte_offset) : -1;
  if (device >= 0) {
    out->device_type = kDLCuda;
    out->device_id = device;
  }
  return error;
}

}  // namespace

int device_of(const void* address) {
  const int range = range_of(address);
  if (range >= 0) return range == kPinned ? -1 : range;
  if (count == 0) return -1;
  const std::lock_guard lock(mutex);
  for (const Adopted* entry : adopted)
    if (reinterpret_cast<std::uintptr_t>(address) - entry->start < entry->bytes) return entry->device;
  return -1;
}

}  // namespace emulator

using namespace emulator;

extern "C" {

int emulator_device_of(const void* address) { return device_of(address); }

void emulator_adopt(void* given) {
  auto* const managed = static_cast<DLManagedTensor*>(given);
  DLTensor& tensor = managed->tensor;
  if (tensor.device_type != kDLCuda) return;
  std::size_t bytes = tensor.bits / 8 * tensor.lanes;
  for (int i = 0; i < tensor.ndim; ++i) bytes *= static_cast<std::size_t>(tensor.shape[i]);
  const auto start = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  auto* const entry = new Adopted{start, bytes, tensor.device_id, *managed};
  {
    const std::lock_guard lock(mutex);
    adopted.push_back(entry);
    ++count;
  }
  tensor.device_type = kDLCpu;
  tensor.device_id = 0;
  managed->context = entry;
  managed->deleter = drop;
}

const void* emulator_exchange(const void* functions) {
  of_torch = emulated = *static_cast<const ExchangeFunctions*>(functions);
  emulated.describe = describe;
  return &emulated;
}
}
