// All stages of slot 4: STAGE(name in Python, type). Choices made at run time (rule.h, dispatch.h) come from here.
#pragma once

#include "adaptive.h"
#include "momentum.h"

#define HOGWILD_MOMENTA(STAGE)         \
  STAGE(none, NoMomentum)              \
  STAGE(heavy_ball, HeavyBallMomentum) \
  STAGE(nesterov, NesterovMomentum)    \
  STAGE(dana, DanaMomentum)            \
  STAGE(table, TableMomentum)          \
  STAGE(primal, PrimalAverage)         \
  STAGE(smega2, Smega2Momentum<false>) \
  STAGE(ormo, OrMoMomentum)            \
  STAGE(adam, AdamMomentum<false>)     \
  STAGE(adam_slim, AdamMomentum<true>) \
  STAGE(adam_dana, AdamDanaMomentum)   \
  STAGE(scaled, ScaledGradient)        \
  STAGE(lion, LionMomentum)
