// Resampling of dense row-major arrays along one or two neighbouring axes: each output is a weighted sum of a few
// neighbouring inputs. Every interpolation is a few such calls; its backward pass is the same with transposed weights.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

// A sparse (out, in) matrix whose row i is zero but for weight[i, 0 .. count[i]) at columns start[i], start[i] + 1, ...
template <class T>
struct BandMatrix {
  int64_t in, out;
  int64_t taps;          // the length of weight's rows, at least every count
  const int64_t* start;  // (out,)
  const int64_t* count;  // (out,)
  const T* weight;       // (out, taps)
};

struct WrongBand {
  int64_t row, start, count;  // row is -1 for none
};

template <class T>
struct ResampleKernels {
  // The first row whose columns do not all lie in [0, in). Kernels that would have to wait for the matrix find none,
  // and leave out what lies outside.
  WrongBand (*find_wrong)(const BandMatrix<T>&);

  // y[o, i, c] = sum over k < count[i] of weight[i, k] x[o, start[i] + k, c]
  void (*axis)(const BandMatrix<T>&, int64_t outer, int64_t inner, const T* x, T* y);

  // y[o, i, j, c] = sum over k and l of h.weight[i, k] w.weight[j, l] x[o, h.start[i] + k, w.start[j] + l, c]
  void (*plane)(const BandMatrix<T>& h, const BandMatrix<T>& w, int64_t outer, int64_t inner, const T* x, T* y);
};

TINYDL_KERNELS(ResampleKernels, resample)

}  // namespace tinydl
