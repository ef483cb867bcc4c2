// How an element of a buffer that several workers write is read, changed and written back. Host and device.
// Elements are 4- or 8-byte aligned, so no policy ever tears one; none orders one element against another.
#pragma once

#include "hd.h"

namespace hogwild {

// Plain loads and stores. Two workers that meet at an element may lose one of their two updates, never part of one.
// The compiler may use vectors of any width. In ISO C++ this is a data race; docs/memory-model.md says why it holds.
struct Racing {
  template <class T>
  HW_HD static T load(const T* p) {
    return *p;
  }

  // *p += delta; `seen` is what load() gave. Returns what now is there.
  template <class T>
  HW_HD static T add(T* p, T seen, T delta) {
    return *p = seen + delta;
  }

  // *p = next(*p). Returns what now is there, and leaves in `seen` what was there before.
  template <class T, class Next>
  HW_HD static T update(T* p, T& seen, const Next& next) {
    return *p = next(seen);
  }

  // *p = value. Returns what was there before.
  template <class T>
  HW_HD static T exchange(T* p, T seen, T value) {
    *p = value;
    return seen;
  }
};

// Compare-and-exchange until nobody came between: no update is lost, and what is returned belongs to this worker's
// own exchange.
struct Atomic {
  template <class T>
  HW_HD static T load(const T* p) {
    return hw_load(p);
  }

  template <class T>
  HW_HD static T add(T* p, T seen, T delta) {
    T after = seen + delta;
    while (!hw_compare_exchange(p, seen, after)) after = seen + delta;
    return after;
  }

  template <class T, class Next>
  HW_HD static T update(T* p, T& seen, const Next& next) {
    T after = next(seen);
    while (!hw_compare_exchange(p, seen, after)) after = next(seen);
    return after;
  }

  template <class T>
  HW_HD static T exchange(T* p, T seen, T value) {
    while (!hw_compare_exchange(p, seen, value)) {
    }
    return seen;
  }
};

}  // namespace hogwild
