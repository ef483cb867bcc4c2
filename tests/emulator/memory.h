// The memory of emulated devices. What is device memory is told by its address: every device has a range of addresses,
// its own allocations in the first half, what other processes have allocated in the second.
#pragma once

#include <cstddef>

namespace emulator {

constexpr int kMostDevices = 8;

// Aligned to 512 bytes, filled with 0xFF (a NaN), with guard zones around it; null if none is left, and in a process
// that was forked from one with device memory.
void* allocate(std::size_t bytes, int device);
// Aborts, in one line, if something was written to the guard zones.
void release(void* memory);
std::size_t total_bytes();  // of each device: EMULATED_GPU_MIB, or 4096 MiB
std::size_t free_bytes(int device);
int device_of(const void* address);   // -1: host memory
bool is_pinned(const void* address);  // host memory of cudaHostAlloc or cudaHostRegister
bool is_inside();                     // this thread is between emulator_enter and emulator_leave

}  // namespace emulator

// For torch_cuda, by ctypes.
extern "C" {

// Between the two (they nest) what this thread asks posix_memalign for, as torch does for its tensors, is memory of the
// device; -1: of the host.
void emulator_enter(int device);
void emulator_leave();

int emulator_device_of(const void* address);
int emulator_is_pinned(const void* address);

// Memory elsewhere that counts as a device's, such as what a driver has mapped. Marks of the same memory add up.
void emulator_mark(const void* start, std::size_t bytes, int device);
void emulator_unmark(const void* start, std::size_t bytes, int device);
// A driver of the same device has taken so many bytes of it; negative: has given them back.
void emulator_charge(int device, long bytes);

// Memory for another process: the file it lies in, as a descriptor of this process, and where. 0, or 1 if it is not an
// allocation of this process.
int emulator_export(const void* memory, int* descriptor, std::size_t* offset, std::size_t* bytes);
// Maps it there; null if that process is gone or no addresses are left.
void* emulator_import(int process, int descriptor, std::size_t offset, std::size_t bytes, int device);
void emulator_forget(void* imported);
}
