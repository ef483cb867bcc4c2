// The memory functions of the CUDA runtime.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "grid.h"
#include "memory.h"

using namespace emulator;

namespace {

std::mutex mutex;
std::map<std::uintptr_t, std::size_t>& pinned = *new std::map<std::uintptr_t, std::size_t>;  // bytes, by address

std::uintptr_t address_of(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

}  // namespace

bool emulator::is_pinned(const void* address) {
  if (range_of(address) == kPinned) return true;
  const std::lock_guard lock(mutex);
  const auto after = pinned.upper_bound(address_of(address));
  if (after == pinned.begin()) return false;
  const auto& [start, bytes] = *std::prev(after);
  return address_of(address) - start < bytes;
}

extern "C" {

int emulator_is_pinned(const void* address) { return is_pinned(address); }

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  count(Deed::allocation);
  int device = 0;
  cudaGetDevice(&device);
  *memory = bytes == 0 ? nullptr : allocate(bytes, device);
  return bytes == 0 || *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* memory) {
  const cudaError_t error = cudaDeviceSynchronize();  // as the real one does
  if (error == cudaSuccess) release(memory);
  return error;
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  if (memory == nullptr || bytes == 0 || device_of(memory) >= 0 || is_pinned(memory)) return cudaErrorInvalidValue;
  const std::lock_guard lock(mutex);
  pinned[address_of(memory)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* memory) {
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) return error;
  const std::lock_guard lock(mutex);
  return pinned.erase(address_of(memory)) == 1 ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  count(Deed::allocation);
  *memory = allocate(bytes, kPinned);
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }
cudaError_t cudaHostGetDevicePointer(void** pointer, void* memory, unsigned) {
  *pointer = memory;
  return is_pinned(memory) ? cudaSuccess : cudaErrorInvalidValue;
}

// One pool, which keeps nothing and never gives back: its threshold changes no result.
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  static int pools[64];
  *pool = pools + device;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return pool != nullptr && attribute == cudaMemPoolAttrReleaseThreshold && value != nullptr ? cudaSuccess
                                                                                             : cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(std::size_t* unused, std::size_t* total) {
  int device = 0;
  cudaGetDevice(&device);
  *total = total_bytes();
  *unused = free_bytes(device);
  return cudaSuccess;
}
}
