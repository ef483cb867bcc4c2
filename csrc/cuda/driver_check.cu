// Compares csrc/driver.h with the toolkit's own declarations at compile time. Generates no code.
#ifdef __CUDACC__  // not the emulated device of the tests, which has no driver
#include <cuda.h>

#include <cstddef>
#include <type_traits>

#include "../driver.h"

namespace hogwild::driver {
namespace {

static_assert(std::is_same_v<Address, CUdeviceptr> && std::is_same_v<Handle, CUmemGenericAllocationHandle>);
static_assert(sizeof(CUresult) == sizeof(int) && sizeof(CUdevice) == sizeof(int));
static_assert(sizeof(Location) == sizeof(CUmemLocation) && offsetof(Location, id) == offsetof(CUmemLocation, id));
static_assert(sizeof(Access) == sizeof(CUmemAccessDesc) && offsetof(Access, flags) == offsetof(CUmemAccessDesc, flags));
static_assert(sizeof(Properties) == sizeof(CUmemAllocationProp));
static_assert(offsetof(Properties, handle_types) == offsetof(CUmemAllocationProp, requestedHandleTypes));
static_assert(offsetof(Properties, location) == offsetof(CUmemAllocationProp, location));
static_assert(offsetof(Properties, flags) == offsetof(CUmemAllocationProp, allocFlags));
static_assert(kOnDevice == CU_MEM_LOCATION_TYPE_DEVICE && kPinned == CU_MEM_ALLOCATION_TYPE_PINNED);
static_assert(kFileDescriptor == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
static_assert(kReadWrite == CU_MEM_ACCESS_FLAGS_PROT_READWRITE && CU_MEM_ALLOC_GRANULARITY_MINIMUM == 0);
static_assert(kHostAtomics == CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED);
static_assert(kHostPointer == CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM);
static_assert(kPlaced == CU_DEVICE_ATTRIBUTE_VIRTUAL_ADDRESS_MANAGEMENT_SUPPORTED);
static_assert(kByFileDescriptor == CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED);
static_assert(kPeerAtomics == CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED);
static_assert(kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY && CUDA_SUCCESS == 0);

// Functions match if they have the same number of arguments, of the same sizes, and the same ones are pointers.
template <class Mine, class Theirs>
constexpr bool is_alike = sizeof(Mine) == sizeof(Theirs) && std::is_pointer_v<Mine> == std::is_pointer_v<Theirs>;

template <class... Mine, class... Theirs>
constexpr bool match(int (*)(Mine...), CUresult(CUDAAPI*)(Theirs...)) {
  if constexpr (sizeof...(Mine) == sizeof...(Theirs))
    return (is_alike<Mine, Theirs> && ...);
  else
    return false;
}

constexpr Functions kNone{};
static_assert(match(kNone.init, decltype(&cuInit){}));
static_assert(match(kNone.device_count, decltype(&cuDeviceGetCount){}));
static_assert(match(kNone.device_attribute, decltype(&cuDeviceGetAttribute){}));
static_assert(match(kNone.device_bytes, decltype(&cuDeviceTotalMem){}));
static_assert(match(kNone.can_reach, decltype(&cuDeviceCanAccessPeer){}));
static_assert(match(kNone.pair_attribute, decltype(&cuDeviceGetP2PAttribute){}));
static_assert(match(kNone.error_text, decltype(&cuGetErrorString){}));
static_assert(match(kNone.granularity, decltype(&cuMemGetAllocationGranularity){}));
static_assert(match(kNone.create, decltype(&cuMemCreate){}));
static_assert(match(kNone.release, decltype(&cuMemRelease){}));
static_assert(match(kNone.share, decltype(&cuMemExportToShareableHandle){}));
static_assert(match(kNone.import, decltype(&cuMemImportFromShareableHandle){}));
static_assert(match(kNone.reserve, decltype(&cuMemAddressReserve){}));
static_assert(match(kNone.free, decltype(&cuMemAddressFree){}));
static_assert(match(kNone.map, decltype(&cuMemMap){}));
static_assert(match(kNone.unmap, decltype(&cuMemUnmap){}));
static_assert(match(kNone.set_access, decltype(&cuMemSetAccess){}));

}  // namespace
}  // namespace hogwild::driver
#endif
