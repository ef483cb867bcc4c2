// The scalars of sparse pushes, and their refusals. Host only.
#include "rows.h"

#include <stdexcept>

namespace hogwild {

Hyper<double> fold(const RowPlan& plan, const Table& table, const RowCall& call) {
  PushCall push;
  push.lr = push.lr_max = call.lr;
  push.pushes = call.pushes;
  push.scale = call.scale;
  Hyper<double> h = fold(plan.rule, push);
  if (plan.row_wise) h.q_eps = plan.rule.eps;
  h.lr *= table.lr_factor;
  return h;
}

void check_decay(const RowPlan& plan, double lr) {
  if (!plan.decays) return;
  for (const Table& table : plan.tables)
    if (const double rate = plan.decay_rate(table, lr); !(rate < 1))
      throw std::invalid_argument(table.name + ": lr times weight decay is " + std::to_string(rate) +
                                  ", and a decay needs less than 1: choose a smaller weight decay");
}

void refuse_row(const Table& table, int64_t row) {
  throw std::invalid_argument(table.name + " has no row " + std::to_string(row) + ": its rows are 0 to " +
                              std::to_string(table.rows - 1));
}

}  // namespace hogwild
