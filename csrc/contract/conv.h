// 2-d convolution (cross-correlation) of channels-last images. With x outside the image read as zero,
//
//   y[n, i, j, o] = activation(bias[o] + sum over r, s, c of x[n, i*sh - ph + r*dh, j*sw - pw + s*dw, c] w[o, c, r,
//   s]).
#pragma once
#include "contract/matmul.h"
#include "contract/tables.h"
#include "core/conv_geometry.h"

namespace tinydl {

// The weight (O, C / groups, KH, KW) under any strides.
template <class T>
struct ConvWeight {
  const T* data;
  int64_t filter_stride, channel_stride, row_stride, column_stride;
};

template <class T>
struct ConvKernels {
  // y (N, OH, OW, O) from x (N, H, W, C)
  void (*forward)(const ConvGeometry&, const T* x, const ConvWeight<T>& w, const Epilogue<T>&, T* y);
  // dx (N, H, W, C): dx[n, h, w, c] = sum over the o, r, s that read it of dy[n, i, j, o] w[o, c, r, s],
  // plus bias[c] (C,) unless it is null: the forward pass of a transposed convolution
  void (*input_grad)(const ConvGeometry&, const T* dy, const ConvWeight<T>& w, const T* bias, T* dx);
  // dw (KH, KW, C / groups, O): dw[r, s, c, o] = sum over n, i, j of x[n, i*sh - ph + r*dh, ..., c] dy[n, i, j, o]
  void (*weight_grad)(const ConvGeometry&, const T* x, const T* dy, T* dw);
};

TINYDL_PRODUCT_KERNELS(ConvKernels, conv)

}  // namespace tinydl
