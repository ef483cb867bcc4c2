// hogwild._C: placed memory, the driver's facts about GPUs and pairs of GPUs, and tensors of a chosen device over given
// memory. hogwild/kernels/placed.py checks arguments.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "dlpack.h"
#include "placed_memory.h"

namespace py = pybind11;

namespace hogwild {

void bind_placed(py::module_& m);

namespace {

using Parts = std::vector<std::pair<int, std::int64_t>>;  // (GPU, bytes)

std::vector<Part> as_parts(const Parts& parts) {
  std::vector<Part> result;
  for (const auto& [device, bytes] : parts) result.push_back({device, bytes});
  return result;
}

py::list gpus(const std::string& library) {
  const driver::Functions& driver = driver::load(library);
  int count = 0;
  driver::check(driver, driver.device_count(&count), "cuDeviceGetCount");
  py::list result;
  for (int device = 0; device < count; ++device) {
    py::list reached, atomics;
    for (int peer = 0; peer < count; ++peer) {
      int native = device == peer;
      if (device != peer)
        driver::check(driver, driver.pair_attribute(&native, driver::kPeerAtomics, device, peer),
                      "cuDeviceGetP2PAttribute");
      reached.append(driver::reaches(driver, device, peer));
      atomics.append(native != 0);
    }
    py::dict gpu;
    gpu["reaches"] = reached;
    gpu["atomics"] = atomics;
    gpu["host_atomics"] = driver::has(driver, driver::kHostAtomics, device);
    gpu["host_pointer"] = driver::has(driver, driver::kHostPointer, device);
    gpu["placing"] =
        driver::has(driver, driver::kPlaced, device) && driver::has(driver, driver::kByFileDescriptor, device);
    result.append(gpu);
  }
  return result;
}

}  // namespace

void bind_placed(py::module_& m) {
  const auto unlocked = py::call_guard<py::gil_scoped_release>();
  py::class_<PlacedMemory>(m, "PlacedMemory")
      .def(py::init([](const std::string& library, const Parts& parts) {
        return std::make_unique<PlacedMemory>(library, as_parts(parts));
      }))
      .def(py::init([](const std::string& library, const Parts& parts, const std::vector<int>& descriptors) {
        return std::make_unique<PlacedMemory>(library, as_parts(parts), descriptors);
      }))
      .def_property_readonly("address", &PlacedMemory::address)
      .def("share", &PlacedMemory::share, unlocked)
      .def("allow", &PlacedMemory::allow, unlocked);
  m.def("granularity", &granularity, unlocked);
  m.def("gpus", &gpus);
  m.def("as_dlpack", &as_dlpack);
}

}  // namespace hogwild
