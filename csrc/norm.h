// Full Normalization of one channel with m elements in the batch. Host and device; changes only the arguments' targets.
//
//   forward    mu <- (1 - a) mu + a mean x,  nu <- (1 - a) nu + a mean x^2,  r = 1 / sqrt(max(nu - mu^2, 0) + eps)
//              y = weight r (x - mu) + bias
//   backward   g = dL/dy,  r' = dr/d(nu - mu^2) = -r^3 / 2, and 0 where the variance is clamped
//              b_nu = weight r' sum g (x - mu),  b_mu = -weight r sum g - 2 mu b_nu
//              G_mu <- (1 - a) G_mu + a b_mu,  G_nu <- (1 - a) G_nu + a b_nu
//              dL/dx = weight r g + (G_mu + 2 x G_nu) / m
//              dL/dweight = r sum g (x - mu),  dL/dbias = sum g
//
// Lian and Liu 2019, arXiv:1810.06177; with a = 1 it is batch normalisation. Sums and values per channel are computed
// in double, because nu - mu^2 and G_mu + 2 mu G_nu cancel. Values per element are computed in T.
#pragma once

#include "numeric.h"

namespace hogwild {

// a_t = max(alpha / t^decay, 1 / t) for the t-th batch, from 1: the averages start as plain means.
struct Forgetting {
  double alpha, decay;

  HW_HD double at(int64_t t) const {
    const double mean = 1 / static_cast<double>(t), running = alpha * ::pow(static_cast<double>(t), -decay);
    return running > mean ? running : mean;
  }
};

// The sums of a pass over the batch. A is double, or a vector of doubles.
struct BatchSums {
  static constexpr bool uses_g = false;
  template <class A>
  HW_HD static void add(A& sum, A& square, const A& x, const A&, const A&) {
    sum += x;
    square += x * x;
  }
};

struct GradientSums {
  static constexpr bool uses_g = true;
  template <class A>
  HW_HD static void add(A& sum, A& product, const A& x, const A& mu, const A& g) {
    sum += g;
    product += g * (x - mu);
  }
};

// y = scale (x - mu) + shift
struct Normalise {
  template <class T>
  HW_HD static T element(T x, T mu, T scale, T shift) {
    return (x - mu) * scale + shift;
  }
};

// dL/dx = scale g + tilt (x - mu) + offset,  tilt = 2 G_nu / m,  offset = (G_mu + 2 mu G_nu) / m
struct InputGradient {
  template <class T>
  HW_HD static T element(T g, T x, T mu, T scale, T tilt, T offset) {
    return g * scale + ((x - mu) * tilt + offset);
  }
};

// Updates a pair of running averages, but neither if one would not be finite: one bad batch must not remain in
// statistics that all workers share. The result of the batch itself is not finite, which the guard of a push detects.
template <class T>
HW_HD void remember(T* first, T* second, double new_first, double new_second) {
  const T a = static_cast<T>(new_first), b = static_cast<T>(new_second);
  if (!hw_isfinite(a) || !hw_isfinite(b)) return;
  *first = a;
  *second = b;
}

// The results of a forward pass that its backward pass needs: rows of one [3, channels] buffer.
template <class T>
struct Saved {
  T *mu, *rstd, *slope;

  Saved() = default;
  HW_HD Saved(void* rows, int64_t channels) : mu(static_cast<T*>(rows)), rstd(mu + channels), slope(rstd + channels) {}
};

// Processes channels between the two passes of forward. weight and bias may be null; scale and shift are written.
template <class T>
struct ForwardChannels {
  const T *weight, *bias;
  T *mu, *nu;
  Saved<T> saved;
  T *scale, *shift;
  double eps, m;

  HW_HD void finish(int64_t c, double a, double sum, double square) const {
    const double new_mu = (1 - a) * static_cast<double>(mu[c]) + a * (sum / m);
    const double new_nu = (1 - a) * static_cast<double>(nu[c]) + a * (square / m);
    const double var = new_nu - new_mu * new_mu;
    const bool clamped = !(var > 0);
    const double rstd = 1 / hw_sqrt((clamped ? 0 : var) + eps);
    remember(mu + c, nu + c, new_mu, new_nu);
    saved.mu[c] = static_cast<T>(new_mu);
    saved.rstd[c] = static_cast<T>(rstd);
    saved.slope[c] = static_cast<T>(clamped ? 0 : -rstd * rstd * rstd / 2);
    scale[c] = static_cast<T>(weight == nullptr ? rstd : static_cast<double>(weight[c]) * rstd);
    shift[c] = bias == nullptr ? T(0) : bias[c];
  }
};

// Processes channels between the two passes of backward. weight may be null; scale, tilt and offset are written.
template <class T>
struct BackwardChannels {
  const T* weight;
  Saved<T> saved;
  T *mu_grad, *nu_grad;
  T *weight_grad, *bias_grad;
  T *scale, *tilt, *offset;
  double m;

  HW_HD void finish(int64_t c, double a, double sum, double product) const {
    const double gain = weight == nullptr ? 1 : static_cast<double>(weight[c]);
    const double mu = saved.mu[c], rstd = saved.rstd[c];
    const double b_nu = gain * static_cast<double>(saved.slope[c]) * product, b_mu = -gain * rstd * sum - 2 * mu * b_nu;
    const double new_mu_grad = (1 - a) * static_cast<double>(mu_grad[c]) + a * b_mu;
    const double new_nu_grad = (1 - a) * static_cast<double>(nu_grad[c]) + a * b_nu;
    remember(mu_grad + c, nu_grad + c, new_mu_grad, new_nu_grad);
    weight_grad[c] = static_cast<T>(rstd * product);
    bias_grad[c] = static_cast<T>(sum);
    scale[c] = static_cast<T>(gain * rstd);
    tilt[c] = static_cast<T>(2 * new_nu_grad / m);
    offset[c] = static_cast<T>((new_mu_grad + 2 * mu * new_nu_grad) / m);
  }
};

}  // namespace hogwild
