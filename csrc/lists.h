// The buffers, constants and scalars of a push, each listed only here. buffers.h and rule.h make structs of the lists.
// Code that handles every member expands the list, so that each value is accessed by its name and two values of one
// type cannot be swapped.
#pragma once

// The buffers of the momentum stages.
#define HOGWILD_MOTION(BUFFER)                                                   \
  BUFFER(v)     /* momentum, shared or the worker's own */                       \
  BUFFER(v_sum) /* sum of all workers' v (DANA), shared */                       \
  BUFFER(b)     /* sum of gradients since v was last updated (SMEGA2), shared */ \
  BUFFER(q)     /* running mean, or sum, of squared gradients (adaptive rules), shared or the worker's own */

// All flat buffers of a push.
#define HOGWILD_BUFFERS(BUFFER)                                                                         \
  BUFFER(x)        /* master weights, shared */                                                         \
  BUFFER(snapshot) /* the weights this worker computes its gradient at, its own */                      \
  BUFFER(center)   /* the variable that all replicas are tied to, shared; x is then the worker's own */ \
  HOGWILD_MOTION(BUFFER)                                                                                \
  BUFFER(s)  /* running mean of squared directions or steps (gap penalty), shared */                    \
  BUFFER(ms) /* running mean of squared gradients (adaptive compensation), the worker's own */

// The choices and constants of a rule, by their names in Python: CONSTANT(type, name, value if not set).
#define HOGWILD_RULE(CONSTANT)                                                                              \
  CONSTANT(Dtype, master, Dtype::float32)                                                                   \
  CONSTANT(AccessKind, access, AccessKind::racing)                                                          \
  CONSTANT(GuardKind, guard, GuardKind::push)                                                               \
  CONSTANT(bool, elastic, false)    /* exchanges with the center */                                         \
  CONSTANT(bool, cooperative, true) /* CUDA: a gap of whole segments in one launch if the model is small */ \
  CONSTANT(MomentumKind, momentum_kind, MomentumKind::none)                                                 \
  CONSTANT(bool, own_v, false) /* v has no other writer */                                                  \
  CONSTANT(double, momentum, 0)                                                                             \
  CONSTANT(double, dampening, 0)                                                                            \
  CONSTANT(bool, torch_first_step, false)                                                                   \
  CONSTANT(double, lead, 0) /* how much further than m Nesterov's step looks ahead */                       \
  CONSTANT(int64_t, workers, 1)                                                                             \
  CONSTANT(double, beta1, 0)  /* weight of the old v in the direction, and in v (not Lion's) */             \
  CONSTANT(double, beta2, 0)  /* weight of the old q, or of Lion's old v */                                 \
  CONSTANT(double, q_rest, 0) /* weight of a squared gradient in q: 1 - beta2, or 1 in a sum */             \
  CONSTANT(double, eps, 0)                                                                                  \
  CONSTANT(bool, eps_inside, false) /* beside q, not beside its root */                                     \
  CONSTANT(bool, decoupled, false)  /* weight decay is in the step, not in the gradient */                  \
  CONSTANT(PenaltyKind, penalty, PenaltyKind::none)                                                         \
  CONSTANT(Unit, unit, Unit::v)                                                                             \
  CONSTANT(double, gap_decay, 0)                                                                            \
  CONSTANT(double, gap_eps, 0)                                                                              \
  CONSTANT(bool, penalize_decay, false)                                                                     \
  CONSTANT(bool, gap_per_segment, false) /* a row of gap_state for each, or one for all */                  \
  CONSTANT(bool, gap_lagged, false)      /* a norm gap is that of the push before */                        \
  CONSTANT(CompensationKind, compensation, CompensationKind::none)                                          \
  CONSTANT(double, lam, 0)                                                                                  \
  CONSTANT(double, ms_decay, 0)                                                                             \
  CONSTANT(double, ms_eps, 0)                                                                               \
  CONSTANT(bool, power_one, false)

// The scalars of a push by their names in Python (hogwild.rules.Scalars): REQUIRED(type, name) or SCALAR(type, name,
// value if not given).
#define HOGWILD_CALL(REQUIRED, SCALAR)                                                              \
  REQUIRED(double, lr)                                                                              \
  REQUIRED(int64_t, pushes) /* before this one */                                                   \
  REQUIRED(double, lr_max)                                                                          \
  SCALAR(double, weight_decay, 0)                                                                   \
  SCALAR(bool, first_step, false)                                                                   \
  SCALAR(int64_t, v_pushes, -1) /* into v before this one; -1: as many as into x */                 \
  SCALAR(int64_t, q_pushes, -1) /* into q */                                                        \
  SCALAR(double, scale, 1)                                                                          \
  SCALAR(double, clip, 0)                                                                           \
  SCALAR(int64_t, delay, 0) /* pushes since the snapshot */                                         \
  SCALAR(double, alpha, 0)                                                                          \
  SCALAR(Motion<double>, ahead, {}) /* snapshot <- x - sum of these times the momentum buffers */   \
  SCALAR(int64_t, start, 0)         /* only elements of the flat range [start, stop) are touched */ \
  SCALAR(int64_t, stop, INT64_MAX)

// The scalars of one push in the arithmetic type T, precomputed on the host (rule.h) so that the loop needs no
// divisions by them: SCALAR(type, name, value if no stage sets it).
#define HOGWILD_HYPER(SCALAR)                                                                               \
  SCALAR(T, lr, 0)                                                                                          \
  SCALAR(T, weight_decay, 0)                                                                                \
  SCALAR(T, free_decay, 0)       /* weight decay that is not penalised */                                   \
  SCALAR(T, scale, 1)            /* of the gradient, clipping included */                                   \
  SCALAR(T, lam, 0)              /* of the compensation */                                                  \
  SCALAR(T, ms_decay, 0)         /* of its running mean */                                                  \
  SCALAR(T, ms_rest, 0)          /* 1 - ms_decay */                                                         \
  SCALAR(T, ms_eps, 0)           /* beside the running mean */                                              \
  SCALAR(bool, power_one, false) /* |g| in place of g^2 */                                                  \
  SCALAR(T, gap_decay, 0)        /* Gamma */                                                                \
  SCALAR(T, gap_rest, 0)         /* 1 - Gamma */                                                            \
  SCALAR(T, gap_scale, 0)        /* C = gap_scale sqrt(s) + gap_floor; 0 on a push that is not penalised */ \
  SCALAR(T, gap_floor, 0)        /* then beyond any gap */                                                  \
  SCALAR(T, gap_row, 1)          /* 1 / G, or C, where all elements of a segment have the same */           \
  SCALAR(bool, unit_g, false)    /* the running size is that of g, not that of v */                         \
  SCALAR(T, momentum, 0)         /* of the old v */                                                         \
  SCALAR(T, damp, 0)             /* of what is added to it */                                               \
  SCALAR(T, drain, 0)            /* how much of the old v is in the step (OrMo, Lion, averages) */          \
  SCALAR(T, direct, 0)           /* how much of d, of v' - v, of v_sum; the look-ahead's share of v */      \
  SCALAR(T, q_decay, 0)          /* of the old q */                                                         \
  SCALAR(T, q_rest, 0)           /* of d^2, which is added to it */                                         \
  SCALAR(T, q_inside, 0)         /* direction = along / (sqrt(q + q_inside) + q_eps) */                     \
  SCALAR(T, q_eps, 0)                                                                                       \
  SCALAR(T, decoupled, 0)      /* lr wd, if weight decay is decoupled */                                    \
  SCALAR(Motion<T>, ahead, {}) /* snapshot <- x - sum of these times the buffers */                         \
  SCALAR(T, alpha, 0)          /* of the elastic exchange */                                                \
  SCALAR(T, group_lr, 1)       /* factors of the parameter group: of lr */                                  \
  SCALAR(T, group_decay, 1)    /* and of the weight decay */
