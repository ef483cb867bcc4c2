#include "placed_memory.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace hogwild {
namespace {

using driver::check;

driver::Properties on(int device) {
  driver::Properties properties{};
  properties.type = driver::kPinned;
  properties.handle_types = driver::kFileDescriptor;
  properties.location = {driver::kOnDevice, device};
  return properties;
}

std::string gpu(int device) { return "GPU " + std::to_string(device); }
std::string mib(std::size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

void require_placing(const driver::Functions& driver, int device) {
  if (!driver::has(driver, driver::kPlaced, device) || !driver::has(driver, driver::kByFileDescriptor, device))
    throw std::runtime_error(gpu(device) +
                             " cannot place memory for several processes (virtual memory management with "
                             "file descriptors is not supported)");
}

driver::Handle make(const driver::Functions& driver, const Part& part) {
  require_placing(driver, part.device);
  const driver::Properties properties = on(part.device);
  const std::size_t bytes = static_cast<std::size_t>(part.bytes);
  driver::Handle handle = 0;
  const int error = driver.create(&handle, bytes, &properties, 0);
  if (error == driver::kOutOfMemory) {
    std::size_t total = 0;
    check(driver, driver.device_bytes(&total, part.device), "cuDeviceTotalMem");
    throw std::runtime_error(gpu(part.device) + " has no room for " + mib(bytes) + "; it has " + mib(total) +
                             " in all");
  }
  check(driver, error, "cuMemCreate");
  return handle;
}

}  // namespace

std::int64_t granularity(const std::string& library, const std::vector<int>& devices) {
  const driver::Functions& driver = driver::load(library);
  std::size_t most = 1;
  for (const int device : devices) {
    require_placing(driver, device);
    const driver::Properties properties = on(device);
    std::size_t bytes = 0;
    check(driver, driver.granularity(&bytes, &properties, 0), "cuMemGetAllocationGranularity");
    most = std::max(most, bytes);
  }
  return static_cast<std::int64_t>(most);
}

PlacedMemory::PlacedMemory(const std::string& library, std::vector<Part> parts)
    : driver_(driver::load(library)), parts_(std::move(parts)) {
  try {
    for (const Part& part : parts_) handles_.push_back(make(driver_, part));
    map();
  } catch (...) {
    let_go();
    throw;
  }
}

PlacedMemory::PlacedMemory(const std::string& library, std::vector<Part> parts, const std::vector<int>& descriptors)
    : driver_(driver::load(library)), parts_(std::move(parts)) {
  if (descriptors.size() != parts_.size()) throw std::runtime_error("each part needs its file descriptor");
  try {
    for (const int descriptor : descriptors) {
      driver::Handle handle = 0;
      void* const as_pointer = reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor));
      check(driver_, driver_.import(&handle, as_pointer, driver::kFileDescriptor), "cuMemImportFromShareableHandle");
      handles_.push_back(handle);
    }
    map();
  } catch (...) {
    let_go();
    throw;
  }
}

PlacedMemory::~PlacedMemory() { let_go(); }

void PlacedMemory::map() {
  std::size_t bytes = 0;
  for (const Part& part : parts_) bytes += static_cast<std::size_t>(part.bytes);
  check(driver_, driver_.reserve(&address_, bytes, 0, 0, 0), "cuMemAddressReserve");
  bytes_ = bytes;
  driver::Address at = address_;
  for (; mapped_ < parts_.size(); ++mapped_) {
    const std::size_t size = static_cast<std::size_t>(parts_[mapped_].bytes);
    check(driver_, driver_.map(at, size, 0, handles_[mapped_], 0), "cuMemMap");
    at += size;
  }
}

// A destructor cannot report errors, and at interpreter exit the driver may be unloaded.
void PlacedMemory::let_go() noexcept {
  driver::Address at = address_;
  for (std::size_t k = 0; k < mapped_; ++k) {
    driver_.unmap(at, static_cast<std::size_t>(parts_[k].bytes));
    at += static_cast<std::size_t>(parts_[k].bytes);
  }
  if (bytes_ != 0) driver_.free(address_, bytes_);
  for (const driver::Handle handle : handles_) driver_.release(handle);
}

std::vector<int> PlacedMemory::share() const {
  std::vector<int> descriptors;
  try {
    for (const driver::Handle handle : handles_) {
      int descriptor = -1;
      check(driver_, driver_.share(&descriptor, handle, driver::kFileDescriptor, 0), "cuMemExportToShareableHandle");
      descriptors.push_back(descriptor);
    }
  } catch (...) {
    for (const int descriptor : descriptors) close(descriptor);
    throw;
  }
  return descriptors;
}

std::vector<bool> PlacedMemory::allow(int device) {
  const driver::Access access{{driver::kOnDevice, device}, driver::kReadWrite};
  std::vector<bool> allowed;
  driver::Address at = address_;
  for (const Part& part : parts_) {
    const std::size_t size = static_cast<std::size_t>(part.bytes);
    allowed.push_back(driver::reaches(driver_, device, part.device));
    if (allowed.back()) check(driver_, driver_.set_access(at, size, &access, 1), "cuMemSetAccess");
    at += size;
  }
  return allowed;
}

}  // namespace hogwild
