// Chooses the instruction-set variant of the loops. Host only. setup.py defines HW_WIDE: whether AVX2 and AVX-512 are in.
#include <cstdlib>
#include <stdexcept>

#include "kernels.h"

namespace hogwild::cpu {

namespace baseline {
extern const Kernels table;
}
#if HW_WIDE
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
#endif

namespace {

// Best first.
std::vector<const Kernels*> supported() {
  std::vector<const Kernels*> found;
#if HW_WIDE
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq"))
    found.push_back(&avx512::table);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2::table);
#endif
  found.push_back(&baseline::table);
  return found;
}

const Kernels* named(const std::string& name) {
  std::string names;
  for (const Kernels* kernels : supported()) {
    if (name == kernels->isa) return kernels;
    names += std::string(names.empty() ? "" : ", ") + kernels->isa;
  }
  throw std::invalid_argument("instruction set '" + name + "' (HOGWILD_ISA): this processor and build have " + names);
}

const Kernels*& chosen() {
  static const Kernels* choice = [] {
    const char* name = std::getenv("HOGWILD_ISA");
    return name != nullptr && *name != '\0' ? named(name) : supported().front();
  }();
  return choice;
}

}  // namespace

const Kernels& kernels() { return *chosen(); }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Kernels* kernels : supported()) names.emplace_back(kernels->isa);
  return names;
}

void use_isa(const std::string& name) { chosen() = named(name); }

}  // namespace hogwild::cpu
