// The memory of emulated devices. The address determines the device: every device has a range of addresses, with its
// own allocations in the first half and those of other processes in the second.
#pragma once

#include <cstddef>

namespace emulator {

constexpr int kMostDevices = 8, kPinned = kMostDevices;  // kPinned, in place of a device: pinned host memory

// Memory aligned to 512 bytes, filled with 0xFF (a NaN), between guard zones. Null if no memory is left, or in a
// process that was forked from one with device memory.
void* allocate(std::size_t bytes, int device);
// Frees memory. Aborts with one line if the guard zones were written.
void release(void* memory);
std::size_t total_bytes();  // memory of each device: EMULATED_GPU_MIB, or 4096 MiB
std::size_t free_bytes(int device);
int range_of(const void* address);    // the device with this range of addresses, kPinned, or -1
int device_of(const void* address);   // the same, including adopted memory; -1: host memory
bool is_pinned(const void* address);  // host memory of cudaHostAlloc or cudaHostRegister
bool is_inside();                     // this thread is between emulator_enter and emulator_leave

}  // namespace emulator

// Functions for torch_cuda, which calls them through ctypes.
extern "C" {

// Between enter and leave (they nest) posix_memalign, which torch uses for its tensors, returns memory of the device to
// this thread; -1: memory of the host. free() releases it when the device has finished all work.
void emulator_enter(int device);
void emulator_leave();

int emulator_device_of(const void* address);
int emulator_is_pinned(const void* address);

// Takes a DLManagedTensor of a device with memory outside its range, such as memory mapped by a driver. From here on
// the tensor names the CPU as its device, and its memory counts as memory of the device until the tensor is deleted.
void emulator_adopt(void* managed);
// torch's table of DLPack's C functions (version 1.x), changed to name the emulated devices.
const void* emulator_exchange(const void* functions);
// Records that a driver of the same device has taken this number of bytes of it; negative: has released them.
void emulator_charge(int device, long bytes);

// Memory for another process: its file, as a descriptor of this process, and its offset and size. Returns 0, or 1 if it
// is not an allocation of this process.
int emulator_export(const void* memory, int* descriptor, std::size_t* offset, std::size_t* bytes);
// Maps exported memory in this process. Null if the exporting process has ended or no addresses are left.
void* emulator_import(int process, int descriptor, std::size_t offset, std::size_t bytes, int device);
void emulator_forget(void* imported);
}
