// Softmax attention over many heads, tile by tile: memory grows with the lengths, not with their product.
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/half.h"

namespace tinydl {

// B sequences, H heads of L queries, G of S keys and values; G divides H, and head h reads keys of head h / (H / G).
struct AttentionShape {
  int64_t batch, heads, kv_heads, queries, keys, features, values;
  double scale;
  bool causal;  // query i sees the keys j <= i
};

// The element (b, h, i, j) is dropped where u < p for word j of the row's stretch of random words (see random.h), which
// starts at counter offset + ((b H + h) L + i) ceil(S / 4). Nothing is dropped for p = 0.
struct AttentionDropout {
  double p;
  uint64_t seed, offset;
};

// (B, heads, rows, features) with features side by side; strides count elements, and any may be 0 or negative.
template <class T>
struct Heads {
  T* data;
  int64_t batch_stride, head_stride, row_stride;
};

// What is added to the scores (B, H, L, S); not both. The last stride is 0 or 1.
template <class T>
struct AttentionMask {
  const T* added;       // null, or a term
  const bool* allowed;  // null, or minus infinity where it is false
  int64_t stride[4];
};

template <class T>
struct AttentionInput {
  Heads<const T> q, k, v;
  AttentionMask<T> mask;
  AttentionDropout dropout;
};

// With s_ij = scale q_i . k_j + mask_ij, minus infinity for hidden keys, and m_ij = 0 or 1 / (1 - p) of dropout:
//   lse_i = ln sum over j of e^s_ij,  P_ij = e^(s_ij - lse_i),  o_i = sum over j of m_ij P_ij v_j
template <class T>
struct AttentionKernels {
  // o (B, H, L, values), and lse (B, H, L), dense. A row that sees nothing has o = 0 and lse = +infinity, with which
  // the formula for P gives zeros.
  void (*forward)(const AttentionShape&, const AttentionInput<T>&, const Heads<T>& o, Wide<T>* lse);

  // With dP_ij = m_ij do_i . v_j and dS_ij = P_ij (dP_ij - do_i . o_i):
  //   dq_i = scale sum over j of dS_ij k_j,  dk_j = scale sum over i of dS_ij q_i,  dv_j = sum over i of m_ij P_ij do_i
  // Gradients whose data are null are not computed.
  void (*backward)(const AttentionShape&, const AttentionInput<T>&, const Heads<const T>& o, const Wide<T>* lse,
                   const Heads<const T>& d_o, const Heads<T>& dq, const Heads<T>& dk, const Heads<T>& dv);
};

TINYDL_PRODUCT_KERNELS(AttentionKernels, attention)

}  // namespace tinydl
