// Makes a DLPack capsule of memory for a chosen device: torch takes the device from the capsule, not from the address,
// so memory of one GPU can be a tensor of another. The structures are those of DLPack's ABI, version 0.x.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace hogwild {

struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

constexpr std::int32_t kDLCpu = 1, kDLCuda = 2;
constexpr std::uint8_t kDLUnsigned = 1;

// [bytes] uint8 at `address`; device -1: the CPU. `owner` is kept alive by every tensor made of the capsule.
pybind11::capsule as_dlpack(std::uintptr_t address, std::int64_t bytes, int device, pybind11::object owner);

}  // namespace hogwild
