// The part of the CUDA driver that placing memory needs, loaded at run time: no link to libcuda, and no cuda.h, so that
// every build has it. cuda/driver_check.cu compares these declarations with cuda.h. Host.
#pragma once

#include <cstddef>
#include <string>

namespace hogwild::driver {

using Address = unsigned long long;
using Handle = unsigned long long;

struct Location {
  int type, id;
};

struct Properties {
  int type, handle_types;
  Location location;
  void* metadata;  // of other operating systems
  struct {
    unsigned char compression, rdma;
    unsigned short usage;
    unsigned char reserved[4];
  } flags;
};

struct Access {
  Location location;
  int flags;
};

constexpr int kOnDevice = 1, kPinned = 1, kFileDescriptor = 1, kReadWrite = 3;
constexpr int kHostAtomics = 86, kHostPointer = 91, kPlaced = 102, kByFileDescriptor = 103;  // of a device
constexpr int kPeerAtomics = 3;                                                              // of a pair
constexpr int kOutOfMemory = 2;

struct Functions {
  int (*init)(unsigned);
  int (*device_count)(int* count);
  int (*device_attribute)(int* value, int attribute, int device);
  int (*device_bytes)(std::size_t* bytes, int device);
  int (*can_reach)(int* can, int device, int peer);
  int (*pair_attribute)(int* value, int attribute, int device, int peer);
  int (*error_text)(int error, const char** text);
  int (*granularity)(std::size_t* bytes, const Properties*, int option);
  int (*create)(Handle*, std::size_t bytes, const Properties*, unsigned long long flags);
  int (*release)(Handle);
  int (*share)(void* descriptor, Handle, int type, unsigned long long flags);
  int (*import)(Handle*, void* descriptor, int type);
  int (*reserve)(Address*, std::size_t bytes, std::size_t alignment, Address at, unsigned long long flags);
  int (*free)(Address, std::size_t bytes);
  int (*map)(Address, std::size_t bytes, std::size_t offset, Handle, unsigned long long flags);
  int (*unmap)(Address, std::size_t bytes);
  int (*set_access)(Address, std::size_t bytes, const Access*, std::size_t count);
};

// Loads the driver from a shared library and initialises it, once. std::runtime_error if that fails.
const Functions& load(const std::string& library);

// Throws std::runtime_error with the driver's message unless `error` is 0.
void check(const Functions& driver, int error, const char* what);

// One attribute of a device. std::runtime_error if there is no such device.
bool has(const Functions& driver, int attribute, int device);

// Whether kernels of `device` can access memory of `peer`; true for the device itself.
bool reaches(const Functions& driver, int device, int peer);

}  // namespace hogwild::driver
