// Memory whose parts lie on GPUs of our choice and that is one range of addresses: a flat buffer over several GPUs, by
// the driver's virtual memory management. Shared with other processes through file descriptors. Host.
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

// Of what parts on these devices must be multiples, and begin at.
std::int64_t granularity(const std::string& library, const std::vector<int>& devices);

// Nothing may use the memory until `allow` has been called for the device that does. It exists until the last process
// has let go of it. The destructor does not wait for kernels. Errors: std::runtime_error, in one line.
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

  // Lets this process's kernels on `device` work on every part that it reaches; which ones those are.
  std::vector<bool> allow(int device);

 private:
  void map();
  void let_go() noexcept;

  const driver::Functions& driver_;
  std::vector<Part> parts_;
  std::vector<driver::Handle> handles_;  // of the parts, as far as there are
  driver::Address address_ = 0;
  std::size_t bytes_ = 0;   // reserved
  std::size_t mapped_ = 0;  // parts
};

}  // namespace hogwild
