#include "driver.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

namespace hogwild::driver {
namespace {

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw std::runtime_error(std::string("the CUDA driver is too old: it has no ") + name);
}

Functions open(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(std::string("there is no CUDA driver: ") + dlerror());
  Functions driver;
  find(library, "cuInit", driver.init);
  find(library, "cuDeviceGetCount", driver.device_count);
  find(library, "cuDeviceGetAttribute", driver.device_attribute);
  find(library, "cuDeviceTotalMem_v2", driver.device_bytes);
  find(library, "cuDeviceCanAccessPeer", driver.can_reach);
  find(library, "cuDeviceGetP2PAttribute", driver.pair_attribute);
  find(library, "cuGetErrorString", driver.error_text);
  find(library, "cuMemGetAllocationGranularity", driver.granularity);
  find(library, "cuMemCreate", driver.create);
  find(library, "cuMemRelease", driver.release);
  find(library, "cuMemExportToShareableHandle", driver.share);
  find(library, "cuMemImportFromShareableHandle", driver.import);
  find(library, "cuMemAddressReserve", driver.reserve);
  find(library, "cuMemAddressFree", driver.free);
  find(library, "cuMemMap", driver.map);
  find(library, "cuMemUnmap", driver.unmap);
  find(library, "cuMemSetAccess", driver.set_access);
  check(driver, driver.init(0), "cuInit");
  return driver;
}

}  // namespace

const Functions& load(const std::string& library) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Functions>> loaded;
  const std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<Functions>& driver = loaded[library];
  if (driver == nullptr) driver = std::make_unique<Functions>(open(library));
  return *driver;
}

void check(const Functions& driver, int error, const char* what) {
  if (error == 0) return;
  const char* text = nullptr;
  if (driver.error_text(error, &text) != 0 || text == nullptr) text = "unknown error";
  throw std::runtime_error(std::string("CUDA driver: ") + what + ": " + text);
}

bool has(const Functions& driver, int attribute, int device) {
  int value = 0;
  check(driver, driver.device_attribute(&value, attribute, device), "cuDeviceGetAttribute");
  return value != 0;
}

bool reaches(const Functions& driver, int device, int peer) {
  if (device == peer) return true;
  int can = 0;
  check(driver, driver.can_reach(&can, device, peer), "cuDeviceCanAccessPeer");
  return can != 0;
}

}  // namespace hogwild::driver
