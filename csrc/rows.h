// The run-time description of sparse pushes: tables, constants, gradients and report. Values are listed once, as
// VALUE(type, name) or OPTIONAL(type, name, default), and looked up by their names in Python (named.h). Host only.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "rule.h"
#include "stages/rows.h"

namespace hogwild {

// Constants of a sparse push, besides those of its stages.
#define HOGWILD_ROW_RULE(VALUE, OPTIONAL)                                         \
  VALUE(bool, row_wise)         /* row-wise Adagrad: one q a row */               \
  VALUE(bool, catches_up)       /* momentum of pushes that did not touch a row */ \
  VALUE(bool, decays)           /* touched rows */                                \
  VALUE(bool, decay_catches_up) /* for the pushes that did not touch them, too */ \
  VALUE(double, weight_decay)                                                     \
  VALUE(double, max_norm) /* of a row; 0: none */

// A table [rows, dim]. x, v and q have its element type; they are [rows, dim], and q is [rows] if it is row-wise.
#define HOGWILD_TABLE(VALUE, OPTIONAL)                                                      \
  VALUE(int64_t, rows)                                                                      \
  VALUE(int64_t, dim)                                                                       \
  VALUE(double, lr_factor)                                                                  \
  VALUE(double, decay_factor)                                                               \
  VALUE(void*, x)                                                                           \
  OPTIONAL(void*, v, nullptr)                                                               \
  OPTIONAL(void*, q, nullptr)                                                               \
  OPTIONAL(int64_t*, last, nullptr)         /* [rows] 1 + the row's last push */            \
  OPTIONAL(double*, decayed, nullptr)       /* [rows] log_decay at the row's last push */   \
  OPTIONAL(double*, log_decay, nullptr)     /* [1] sum of log(1 - lr wd) over all pushes */ \
  OPTIONAL(uint32_t*, row_version, nullptr) /* [rows] pushes that touched the row, mod 2^32 */

#define HOGWILD_ROW_CALL(VALUE, OPTIONAL)                                                    \
  VALUE(double, lr)                                                                          \
  VALUE(int64_t, pushes) /* before this one */                                               \
  OPTIONAL(double, scale, 1)                                                                 \
  OPTIONAL(std::vector<const void*>, seen, {}) /* a table's versions [k] as read, or null */ \
  VALUE(uintptr_t, stream)

#define HOGWILD_FIELD(type, name) type name{};
#define HOGWILD_FIELD_WITH(type, name, value) type name = value;

struct Table {
  HOGWILD_TABLE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
  std::string name;
  int64_t offset = 0;  // of its first element in the order of the tables, for stripes

  // Those of [rows, dim].
  Buffers<void> buffers(bool row_wise) const {
    Buffers<void> all;
    all.x = x;
    all.v = v;
    all.q = row_wise ? nullptr : q;
    return all;
  }
};

struct RowPlan {
  HOGWILD_ROW_RULE(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
  Rule rule;  // its stage, access and guard
  std::vector<Table> tables;
  RobustMutex* stripes = nullptr;
  int64_t n_stripes = 0;

  // lr wd of a table.
  double decay_rate(const Table& table, double lr) const {
    return lr * table.lr_factor * weight_decay * table.decay_factor;
  }
};

// The gradient of one table: row rows[i] has values [i dim, (i + 1) dim). Null: the push does not touch the table.
struct RowGradient {
  const int64_t* rows = nullptr;
  const void* values = nullptr;
  int64_t count = 0;
  Dtype dtype = Dtype::float32;
};

struct RowCall {
  HOGWILD_ROW_CALL(HOGWILD_FIELD, HOGWILD_FIELD_WITH)
};

#undef HOGWILD_FIELD_WITH
#undef HOGWILD_FIELD

struct RowScan {
  double norm_sq = 0;
  int64_t nonfinite = 0;
};

// Rows by their delay: place 0 has those without one, place k those with a delay from 2^(k - 1) to 2^k - 1.
using RowDelays = std::array<int64_t, 33>;

struct RowStats {
  bool applied = true;
  int64_t nonfinite = 0;
  double step_sq = 0;
  double grad_norm = std::numeric_limits<double>::quiet_NaN();
  int64_t rows = 0, unique_rows = 0, row_delay_sum = 0, shared_rows = 0, recovered = 0;
  RowDelays row_delays{};
};

// The scalars of a push into one table, with the table's factor of lr.
Hyper<double> fold(const RowPlan& plan, const Table& table, const RowCall& call);

// std::invalid_argument if a weight decay would change signs, lr wd >= 1.
void check_decay(const RowPlan& plan, double lr);

[[noreturn]] void refuse_row(const Table& table, int64_t row);

}  // namespace hogwild
