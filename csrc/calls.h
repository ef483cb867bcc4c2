// The run-time descriptions of averages, copies, exchanges and diffusions. Each value is listed only here, as
// VALUE(type, name) or OPTIONAL(type, name, default). The structs are generated from the lists. The bindings look up
// each value by its name in the dict that Python passes (named.h). Host only.
#pragma once

#include <string_view>
#include <vector>

#include "mix.h"
#include "pair.h"
#include "rule.h"

namespace hogwild {

enum class ExchangeKind { elastic, deliver, admm, send, drain, blend };

template <>
ExchangeKind named(std::string_view name);

// A CUDA device and its stream; device -1 is the CPU.
#define HOGWILD_PLACE(VALUE) \
  VALUE(int, device)         \
  VALUE(uintptr_t, stream)

// The elements of the flat buffers that a call changes: [start, stop).
#define HOGWILD_RANGE(VALUE) \
  VALUE(int64_t, start)      \
  VALUE(int64_t, stop)

#define HOGWILD_WEIGHTED_SUM(VALUE, OPTIONAL) \
  VALUE(Dtype, dtype)                         \
  VALUE(void*, out)                           \
  VALUE(std::vector<const void*>, inputs)     \
  VALUE(std::vector<double>, weights)         \
  HOGWILD_RANGE(VALUE)                        \
  HOGWILD_PLACE(VALUE)

#define HOGWILD_COPY(VALUE, OPTIONAL) \
  VALUE(Dtype, dtype)                 \
  VALUE(void*, out)                   \
  VALUE(const void*, source)          \
  HOGWILD_RANGE(VALUE)                \
  HOGWILD_PLACE(VALUE)

#define HOGWILD_COUNT_NONFINITE(VALUE, OPTIONAL) \
  VALUE(Dtype, dtype)                            \
  VALUE(const void*, g)                          \
  VALUE(int64_t, numel)                          \
  HOGWILD_PLACE(VALUE)

// Chunk k of kStripe elements is guarded by lock k modulo n_locks of each replica, as in a striped push. `waits`: wait
// for a busy chunk; else skip it. On CUDA there are no locks. With lags, both of them, the average is that of PairChange.
#define HOGWILD_PAIR_AVERAGE(VALUE, OPTIONAL) \
  VALUE(Dtype, dtype)                         \
  VALUE(void*, a)                             \
  VALUE(void*, b)                             \
  VALUE(double, weight)                       \
  VALUE(RobustMutex*, locks_a)                \
  VALUE(RobustMutex*, locks_b)                \
  VALUE(int64_t, n_locks)                     \
  VALUE(bool, waits)                          \
  OPTIONAL(void*, lag_a, nullptr)             \
  OPTIONAL(void*, lag_b, nullptr)             \
  OPTIONAL(double, rest_a, 0)                 \
  OPTIONAL(double, rest_b, 0)                 \
  OPTIONAL(double, gain, 0)                   \
  HOGWILD_RANGE(VALUE)                        \
  HOGWILD_PLACE(VALUE)

#define HOGWILD_DIFFUSE(VALUE, OPTIONAL)      \
  VALUE(Dtype, dtype)                         \
  VALUE(void*, out)                           \
  VALUE(const void*, own)                     \
  OPTIONAL(void*, correction, nullptr)        \
  VALUE(std::vector<const void*>, neighbours) \
  VALUE(std::vector<double>, weights)         \
  HOGWILD_RANGE(VALUE)                        \
  HOGWILD_PLACE(VALUE)

// lr and rho are for ADMM. The buffers are listed in mix.h. The call takes the locks `stripes` if access is striped.
#define HOGWILD_EXCHANGE(VALUE, OPTIONAL) \
  VALUE(ExchangeKind, kind)               \
  VALUE(Dtype, dtype)                     \
  VALUE(AccessKind, access)               \
  VALUE(double, share)                    \
  OPTIONAL(double, lr, 0)                 \
  OPTIONAL(double, rho, 0)                \
  VALUE(RobustMutex*, stripes)            \
  VALUE(int64_t, n_stripes)               \
  HOGWILD_RANGE(VALUE)                    \
  HOGWILD_PLACE(VALUE)

// The snapshot of x for the other box; own becomes what that box knows of it. The packet has wire_bytes(n) bytes.
#define HOGWILD_WIRE_ENCODE(VALUE, OPTIONAL) \
  VALUE(const float*, x)                     \
  VALUE(float*, own)                         \
  VALUE(void*, packet)                       \
  VALUE(int64_t, n)

// A packet of the other box, whose snapshot `peer` becomes, and the flux of both snapshots.
#define HOGWILD_WIRE_DECODE(VALUE, OPTIONAL) \
  VALUE(const void*, packet)                 \
  VALUE(const float*, own)                   \
  VALUE(float*, peer)                        \
  VALUE(float*, flux)                        \
  VALUE(int64_t, n)

#define HOGWILD_FIELD(type, name) type name{};
#define HOGWILD_FIELD_WITH(type, name, value) type name = value;

struct WeightedSumCall {
  HOGWILD_WEIGHTED_SUM(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct CopyCall {
  HOGWILD_COPY(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct CountCall {
  HOGWILD_COUNT_NONFINITE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct PairCall {
  HOGWILD_PAIR_AVERAGE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct DiffusionCall {
  HOGWILD_DIFFUSE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct WireEncodeCall {
  HOGWILD_WIRE_ENCODE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct WireDecodeCall {
  HOGWILD_WIRE_DECODE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

struct ExchangeCall {
  HOGWILD_EXCHANGE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
  MixBuffers<void> buffers;
};

#undef HOGWILD_FIELD_WITH
#undef HOGWILD_FIELD

inline MixRates<double> fold(const ExchangeCall& call) {
  MixRates<double> rates;
  rates.share = call.share;
  rates.lr = call.lr;
  rates.pull = call.lr * call.rho;
  rates.shrink = 1 / (1 + call.lr * call.rho);
  return rates;
}

}  // namespace hogwild
