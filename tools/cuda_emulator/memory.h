// The memory of emulated devices. What is device memory is told by its address: every device has a range of addresses,
// its own allocations in the first half, what other processes have allocated in the second.
#pragma once

#include <cstddef>

namespace emulator {

constexpr int kMostDevices = 8, kPinned = kMostDevices;  // kPinned: in place of a device, pinned host memory

// Aligned to 512 bytes, filled with 0xFF (a NaN), with guard zones around it; null if none is left, and in a process
// that was forked from one with device memory.
void* allocate(std::size_t bytes, int device);
// Aborts, in one line, if something was written to the guard zones.
void release(void* memory);
std::size_t total_bytes();  // of each device: EMULATED_GPU_MIB, or 4096 MiB
std::size_t free_bytes(int device);
int range_of(const void* address);    // whose addresses they are: a device's, kPinned, or -1
int device_of(const void* address);   // likewise, with what was adopted; -1: host memory
bool is_pinned(const void* address);  // host memory of cudaHostAlloc or cudaHostRegister
bool is_inside();                     // this thread is between emulator_enter and emulator_leave

}  // namespace emulator

// For torch_cuda, by ctypes.
extern "C" {

// Between the two (they nest) what this thread asks posix_memalign for, as torch does for its tensors, is memory of the
// device; -1: of the host. free() gives it back when the device has nothing left to do.
void emulator_enter(int device);
void emulator_leave();

int emulator_device_of(const void* address);
int emulator_is_pinned(const void* address);

// A DLManagedTensor of a device, which lies elsewhere, such as where a driver has mapped it: says from here on that it is
// of the CPU, and as long as it lives its memory counts as the device's.
void emulator_adopt(void* managed);
// torch's table of DLPack's C functions (version 1.x), with the devices as they are.
const void* emulator_exchange(const void* functions);
// A driver of the same device has taken so many bytes of it; negative: has given them back.
void emulator_charge(int device, long bytes);

// Memory for another process: the file it lies in, as a descriptor of this process, and where. 0, or 1 if it is not an
// allocation of this process.
int emulator_export(const void* memory, int* descriptor, std::size_t* offset, std::size_t* bytes);
// Maps it there; null if that process is gone or no addresses are left.
void* emulator_import(int process, int descriptor, std::size_t offset, std::size_t bytes, int device);
void emulator_forget(void* imported);
}
