// Attention, tile by tile (Dao 2023, FlashAttention-2): scores live in registers and shared memory alone.
//
// A head of L queries, S keys and E features takes 4 L S E operations forward and 14 backward (7 products, of which two
// are computed twice so that no sums need atomics), half of them where causal; dropout draws L S / 4 counters each
// time. It moves 2 (L + S) E elements forward, about 3 times that backward: with 16-bit types and L = S, L / 2
// operations a byte forward, so that the products are the floor from L = 512 on. From the second-level cache keys and
// values are read again for each 64 queries.
//
//   16-bit types, up to 128 features    mma.sync with float32 sums
//   everything else                     fused multiply-adds
#include "contract/attention.h"

#include "cuda/attention/plain_backward.h"
#include "cuda/attention/plain_forward.h"
#include "cuda/attention/tensor_backward.h"
#include "cuda/attention/tensor_forward.h"
#include "cuda/device/grid.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

namespace {

// The columns of results that a block holds: 32 of float64, whose tiles of 64 would be more than the 99 KB of shared
// memory that a block has on some GPUs; else 64, or 128 where there are more.
template <class T, class F>
void with_columns(int64_t columns, const F& run) {
  if constexpr (sizeof(Wide<T>) == 8)
    run(std::integral_constant<int, 32>());
  else if (columns > 64)
    run(std::integral_constant<int, 128>());
  else
    run(std::integral_constant<int, 64>());
}

constexpr int kTensorHead = 128;

// Backward, the widest heads take 102 KB.
template <class T>
bool fits_tensor_backward(int64_t head) {
  return head <= 96 || (head <= kTensorHead && shared_bytes_of_a_block() >= sizeof(QueryStorage<T, kTensorHead>));
}

template <class T>
void forward(const AttentionShape& s, const AttentionInput<T>& in, const Heads<T>& o, Wide<T>* lse) {
  if constexpr (sizeof(T) == 2)
    if (widest(s) <= kTensorHead) return tensor_forward(s, in, o, lse);
  with_columns<T>(s.values, [&](auto columns) { plain_forward<columns.value>(s, in, o, lse); });
}

// D_i = do_i . o_i, a warp a row.
template <class T>
__global__ void dots_kernel(Problem<T> x, int64_t rows, Heads<const T> o, Heads<const T> d_o, Wide<T>* dots) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (int64_t row = thread_in_grid() / kLanes; row < rows; row += threads_in_grid() / kLanes) {
    const int64_t head = row / x.queries, query = row % x.queries;
    const HeadPlace at{head / x.heads, static_cast<int>(head % x.heads)};
    const T *a = row_of(o, at, query), *b = row_of(d_o, at, query);
    Wide<T> sum = 0;
    for (int f = lane; f < x.values; f += kLanes) sum = fma_of(widen(a[f]), widen(b[f]), sum);
    sum = reduce_warp(sum, Sum());
    if (lane == 0) dots[row] = sum;
  }
}

template <class T>
void backward(const AttentionShape& s, const AttentionInput<T>& in, const Heads<const T>& o, const Wide<T>* lse,
              const Heads<const T>& d_o, const Heads<T>& dq, const Heads<T>& dk, const Heads<T>& dv) {
  const int64_t rows = s.batch * s.heads * s.queries;
  const Scratch scratch(static_cast<size_t>(rows) * sizeof(Wide<T>));
  auto* const dots = static_cast<Wide<T>*>(scratch.data());
  launch(dots_kernel<T>, blocks_for(rows * kLanes), kThreads, Problem<T>(s, in), rows, o, d_o, dots);
  const Gradients<T> grads{d_o, lse, dots, dq, dk, dv};
  if constexpr (sizeof(T) == 2)
    if (fits_tensor_backward<T>(widest(s))) return tensor_backward(s, in, grads);
  with_columns<T>(widest(s), [&](auto columns) { plain_backward<columns.value>(s, in, grads); });
}

template <class T>
constexpr AttentionKernels<T> kernels = {forward<T>, backward<T>};

}  // namespace

TINYDL_CUDA_TABLE(AttentionKernels, attention, kernels);

}  // namespace tinydl::cuda
