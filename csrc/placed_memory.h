// Memory with parts on chosen GPUs and one range of addresses, so that a flat buffer can extend over several GPUs. It
// uses the driver's virtual memory management and is shared with other processes through file descriptors. Host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver.h"

namespace hogwild {

struct Part {
  int device;
  std::int64_t bytes;  // a multiple of the granularity
};

// The alignment of the sizes and offsets of parts on these devices.
std::int64_t granularity(const std::string& library, const std::vector<int>& devices);

// A device may use the memory only after `allow` has been called for it. The memory exists until the last process has
// released it. The destructor does not wait for kernels. Errors: std::runtime_error, in one line.
class PlacedMemory {
 public:
  PlacedMemory(const std::string& library, std::vector<Part> parts);  // new, not zeroed
  PlacedMemory(const std::string& library, std::vector<Part> parts,
               const std::vector<int>& descriptors);  // another process's, as `share` gave them; they stay open
  ~PlacedMemory();
  PlacedMemory(const PlacedMemory&) = delete;
  PlacedMemory& operator=(const PlacedMemory&) = delete;

  std::uintptr_t address() const { return static_cast<std::uintptr_t>(address_); }
  std::vector<int> share() const;  // a new file descriptor per part, the caller's to close

  // Lets this process's kernels on `device` access every part that it can reach; returns those parts.
  std::vector<bool> allow(int device);

 private:
  void map();
  void let_go() noexcept;

  const driver::Functions& driver_;
  std::vector<Part> parts_;
  std::vector<driver::Handle> handles_;  // handles of the parts that have been created
  driver::Address address_ = 0;
  std::size_t bytes_ = 0;   // reserved
  std::size_t mapped_ = 0;  // parts
};

}  // namespace hogwild
