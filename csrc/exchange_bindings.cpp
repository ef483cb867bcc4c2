// hogwild._C: exchanges, diffusions and the 8-bit wire. Takes dicts, with the names of calls.h, and releases the GIL;
// hogwild/kernels/ checks arguments.
#include "cpu/exchange.h"
#include "cpu/kernels.h"
#include "cuda/exchange.h"
#include "dispatch.h"
#include "named.h"

namespace py = pybind11;

namespace hogwild {

void bind_exchange(py::module_& m);

namespace {

void check_buffer(bool there, bool used, const char* name) {
  if (used && !there) throw py::type_error(std::string("this exchange needs ") + name);
  if (there && !used) throw py::type_error(std::string("this exchange has no use for ") + name);
}

// Raises TypeError unless the buffers are those that this kind of exchange uses.
void check_buffers(const ExchangeCall& call) {
  with_exchange(call.kind, call.access, [&](auto exchange, auto) {
    using Kind = typename decltype(exchange)::type;
    check_buffer(call.buffers.x != nullptr, true, "x");
    check_buffer(call.buffers.center != nullptr, true, "center");
    check_buffer(call.buffers.memory != nullptr, Kind::uses_memory, "memory");
    check_buffer(call.buffers.g != nullptr, Kind::uses_g, "g");
  });
}

int64_t exchange(const py::dict& given) {
  ExchangeCall call;
  Named values(given);
  HOGWILD_READ(HOGWILD_EXCHANGE, values, call);
#define HOGWILD_TAKE(element, name) values.take(HOGWILD_KEY(name), call.buffers.name);
  HOGWILD_MIX_BUFFERS(HOGWILD_TAKE)
#undef HOGWILD_TAKE
  values.finish("exchange");
  check_buffers(call);
  const py::gil_scoped_release release;
  if (call.device < 0) return cpu::exchange(call);
  cuda::exchange(call);
  return 0;
}

void diffuse(const py::dict& given) {
  DiffusionCall call;
  Named values(given);
  HOGWILD_READ(HOGWILD_DIFFUSE, values, call);
  values.finish("diffuse");
  const py::gil_scoped_release release;
  call.device < 0 ? cpu::diffuse(call) : cuda::diffuse(call);
}

void wire_encode(const py::dict& given) {
  WireEncodeCall call;
  Named values(given);
  HOGWILD_READ(HOGWILD_WIRE_ENCODE, values, call);
  values.finish("wire_encode");
  const py::gil_scoped_release release;
  cpu::kernels().wire_encode(call);
}

int64_t wire_decode(const py::dict& given) {
  WireDecodeCall call;
  Named values(given);
  HOGWILD_READ(HOGWILD_WIRE_DECODE, values, call);
  values.finish("wire_decode");
  const py::gil_scoped_release release;
  return cpu::kernels().wire_decode(call);
}

}  // namespace

void bind_exchange(py::module_& m) {
  m.def("exchange", &exchange);
  m.def("diffuse", &diffuse);
  m.def("wire_encode", &wire_encode);
  m.def("wire_decode", &wire_decode);
}

}  // namespace hogwild
