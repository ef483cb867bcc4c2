// One element through the slots of a push:
//   decay -> compensation -> penalty -> momentum -> exchange -> apply -> observe -> look-ahead
// Host and device; the one place where their order is written. Loops (cpu/, cuda/) call it and know no equation.
#pragma once

#include "access.h"
#include "stages/compensation.h"
#include "stages/decay.h"
#include "stages/exchange.h"
#include "stages/guard.h"
#include "stages/lookahead.h"
#include "stages/momenta.h"
#include "stages/penalty.h"

namespace hogwild {

// The observations of one element.
template <class T>
struct Observed {
  T gap = 0;        // x - snapshot, or the worker's point - center, before the push
  T step = 0;       // subtracted from x
  T drawn = 0;      // moved from x to the center in addition
  T nonfinite = 0;  // 1 if the gradient was NaN or infinite, else 0
  T share = 1;      // 1 / G
  T size = 0;       // u: v after the push, or g, if C belongs to whole segments
};

// Reads those momentum buffers at element i that are in `kUses`. Buffers in `kOwn` have no other writer.
template <unsigned kUses, unsigned kOwn, class Access, class T>
HW_HD Motion<T> motion_at(const Buffers<T>& at, int64_t i) {
  Motion<T> now;
#define HOGWILD_LOAD(name)                          \
  if constexpr ((kUses & kOwn & buffer::name) != 0) \
    now.name = Racing::load(at.name + i);           \
  else if constexpr ((kUses & buffer::name) != 0)   \
    now.name = Access::load(at.name + i);
  HOGWILD_MOTION(HOGWILD_LOAD)
#undef HOGWILD_LOAD
  return now;
}

// An element of a parameter without a gradient: writes a new snapshot. Returns the old x - snapshot.
template <class LookAhead>
struct Refresh {
  template <class Access, class T>
  HW_HD static T element(const Buffers<T>& at, int64_t i, const Hyper<T>& h) {
    const T x = at.x[i], gap = x - at.snapshot[i];
    const Motion<T> now = motion_at<LookAhead::uses, buffer::none, Racing>(at, i);
    at.snapshot[i] = LookAhead::apply(x, now, h);
    return gap;
  }
};

// An element of a parameter without a gradient, with a center: the exchange. Returns the old gap.
template <class Exchange>
struct ExchangeOnly {
  template <class Access, class T>
  HW_HD static T element(const Buffers<T>& at, int64_t i, const Hyper<T>& h) {
    const T x = at.x[i], center = Access::load(at.center + i);
    const Motion<T> now = motion_at<Exchange::uses, buffer::none, Access>(at, i);
    const T gap = Exchange::gap(x, center, now, h), drawn = Exchange::drawn(gap, h);
    Access::add(at.center + i, center, drawn);
    at.x[i] = x - drawn;
    return gap;
  }
};

template <class Guard, class Compensation, class Penalty, class Momentum, class LookAhead, class Exchange = NoExchange>
struct Push {
  using PenaltyStage = Penalty;
  static constexpr unsigned uses =
      buffer::x | Compensation::uses | Penalty::uses | Momentum::uses | LookAhead::uses | Exchange::uses;
  static constexpr unsigned own = Momentum::own;
  // The same push of a v that has no other writer; Push itself where that changes nothing.
  using OwnV = std::conditional_t<(Momentum::uses & ~own & buffer::v) != 0 && !Momentum::flushes,
                                  Push<Guard, Compensation, Penalty, WithOwnV<Momentum>, LookAhead, Exchange>, Push>;
#define HOGWILD_USES(name) static constexpr bool uses_##name = (uses & buffer::name) != 0;
  HOGWILD_BUFFERS(HOGWILD_USES)
#undef HOGWILD_USES
  using Idle = std::conditional_t<uses_center, ExchangeOnly<Exchange>, Refresh<LookAhead>>;
  static constexpr bool may_be_nonfinite = Guard::may_refuse;
  static constexpr bool measures_gap = uses_snapshot || uses_center;
  static constexpr bool uses_rows = Penalty::uses_rows;
  static constexpr bool penalises_elements = Penalty::per_element;

  template <class XAccess, class MAccess, class T>
  HW_HD static Observed<T> element(const Buffers<T>& at, int64_t i, T raw, const Hyper<T>& h) {
    return element<XAccess, MAccess>(at, i, raw, h, motion_at<Momentum::uses, own, MAccess>(at, i));
  }

  // Reads and writes element i of the buffers in `at`; `now` holds the momentum elements just read. A gradient that the
  // guard refuses changes only the snapshot (under a momentum that flushes it counts as zero). XAccess is the access
  // policy of x, or of the center if there is one, MAccess that of the momentum buffers. Where the worker is the only
  // writer nothing is exchanged: momentum buffers in `own`, x beside a center, ms. s is a statistic and always races.
  template <class XAccess, class MAccess, class T>
  HW_HD static Observed<T> element(const Buffers<T>& at, int64_t i, T raw, const Hyper<T>& h, Motion<T> now) {
    using OfX = std::conditional_t<uses_center, Racing, XAccess>;
    using OfV = std::conditional_t<(own & buffer::v) != 0, Racing, MAccess>;
    const bool finite = Guard::applies(raw);
    const bool applied = finite || Momentum::flushes;
    const T x = OfX::load(at.x + i);
    T gap = 0;
    if constexpr (uses_snapshot) gap = x - at.snapshot[i];
    T center = 0;
    if constexpr (uses_center) {
      center = XAccess::load(at.center + i);
      gap = Exchange::gap(x, center, now, h);
    }

    const T scaled = h.scale * (Momentum::flushes ? hw_select(finite, raw, T(0)) : raw);
    const T decay = WeightDecay::term(x, h), free = WeightDecay::free_term(x, h);

    T ms = 0;
    if constexpr (uses_ms) {
      const T before = at.ms[i];
      ms = Compensation::average(before, scaled, h);
      at.ms[i] = hw_select(applied, ms, before);
    }
    const T g = Compensation::apply(scaled, gap, ms, h);

    T u = scaled, s = 0, s_before = 0, share = h.gap_row;
    if constexpr (uses_v) u = now.v;
    if constexpr (uses_v && Penalty::chooses_u) u = hw_select(h.unit_g, scaled, now.v);
    if constexpr (uses_s) {
      s = s_before = at.s[i];
      if constexpr (!Penalty::averages_step)
        s = at.s[i] = hw_select(applied, Penalty::average(s_before, u, h), s_before);
    }
    if constexpr (penalises_elements) share = Penalty::share(gap, s, h);
    const T d = Momentum::scales_step ? g + decay : Penalty::apply(g, decay, free, share);

    T wanted = Momentum::template advance<OfV, MAccess>(at, i, now, d, applied, h);
    if constexpr (Momentum::scales_step) {
      if constexpr (!std::is_same_v<Penalty, NoPenalty>) wanted *= share;
      wanted += h.decoupled * x;
    }

    const T step = hw_select(applied, wanted, T(0));
    T drawn = 0, change = -step;
    if constexpr (uses_center) {
      drawn = hw_select(applied, Exchange::drawn(gap, h), T(0));
      XAccess::add(at.center + i, center, drawn);
      change -= drawn;
    }
    const T after = OfX::add(at.x + i, x, change);

    if constexpr (Penalty::averages_step) at.s[i] = hw_select(applied, Penalty::average(s_before, step, h), s_before);
    T size = 0;
    if constexpr (uses_rows && uses_v) size = hw_select(h.unit_g, hw_select(applied, scaled, T(0)), now.v);
    if constexpr (uses_rows && !uses_v) size = hw_select(applied, scaled, T(0));
    Observed<T> seen;
    seen.gap = gap;
    seen.step = step;
    seen.drawn = drawn;
    seen.nonfinite = hw_select(finite, T(0), T(1));
    seen.share = share;
    seen.size = size;

    if constexpr (uses_snapshot) at.snapshot[i] = LookAhead::apply(after, now, h);
    return seen;
  }
};

}  // namespace hogwild
