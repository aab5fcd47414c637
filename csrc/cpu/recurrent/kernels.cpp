#include "cpu/recurrent/backward.h"
#include "cpu/recurrent/forward.h"
#include "cpu/recurrent/recurrent.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/runtime/trace.h"

namespace tinydl::TINYDL_TIER {

namespace {

// What a layer costs, in the units of parallel_for.
int64_t work_of(const SequenceShape& shape, int gates) {
  return shape.steps * shape.batch * gates * (shape.hidden / 8 + 1) * (shape.hidden + 16) / 2;
}

// The recurrent products of all steps, for tinydl.explain.
void trace(const SequenceShape& shape, int64_t n, int64_t k) {
  trace_product(shape.steps * shape.batch, n, k, "fused multiply-adds", "no matrix tiles: computed step by step");
}

// Calls run over ranges of sequences, whole tiles of them.
template <class F>
void share_sequences(const SequenceShape& shape, int64_t tile, int gates, const F& run) {
  parallel_for(div_up(shape.batch, tile), work_of(shape, gates), [&](int64_t begin, int64_t end, int) {
    const FlushDenormals flush;
    run(begin * tile, smaller(end * tile, shape.batch));
  });
}

template <class T, template <class> class CellType>
void run_forward(const SequenceShape& shape, const Sequence<T>& s) {
  using Forward = RecurrentForward<T, CellType>;
  constexpr int gates = Forward::gates;
  const typename Forward::Blocks blocks{shape.hidden};
  const int64_t masked = s.mask ? shape.batch * shape.hidden : 0;
  Scratch scratch(static_cast<size_t>(blocks.packed_size() + masked) * sizeof(T));
  T* packed = static_cast<T*>(scratch.data());
  parallel_for(blocks.count(), blocks.packed_size(), [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) blocks.pack(s.weight, s.bias, block, packed);
  });
  const Forward forward{
      shape, s, blocks, {shape.steps, shape.reverse}, packed, masked ? packed + blocks.packed_size() : nullptr};
  share_sequences(shape, Forward::kRows, gates, [&](int64_t begin, int64_t end) { forward.run(begin, end); });
}

template <class T, template <class> class CellType>
void run_backward(const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d) {
  constexpr int gates = CellType<T>::gates;
  const BackwardPanels<T> weights(shape.hidden, gates);
  Scratch scratch(static_cast<size_t>(weights.packed_size()) * sizeof(T));
  T* packed = static_cast<T*>(scratch.data());
  parallel_for(weights.panels.count, weights.packed_size(), [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) weights.pack(s.weight, p, packed);
  });
  trace(shape, shape.hidden, gates * shape.hidden);
  const RecurrentBackward<T, CellType> backward{shape, s, d, weights, {shape.steps, shape.reverse}, packed};
  share_sequences(shape, kTileRows[kMaxVectors], gates, [&](int64_t begin, int64_t end) { backward.run(begin, end); });
}

template <class T>
void forward(Cell cell, const SequenceShape& shape, const Sequence<T>& s) {
  switch (cell) {
    case Cell::rnn_tanh:
      return run_forward<T, TanhCell>(shape, s);
    case Cell::rnn_relu:
      return run_forward<T, ReluCell>(shape, s);
    case Cell::lstm:
      return run_forward<T, LstmCell>(shape, s);
    case Cell::gru:
      return run_forward<T, GruCell>(shape, s);
  }
}

template <class T>
void backward(Cell cell, const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d) {
  switch (cell) {
    case Cell::rnn_tanh:
      return run_backward<T, TanhCell>(shape, s, d);
    case Cell::rnn_relu:
      return run_backward<T, ReluCell>(shape, s, d);
    case Cell::lstm:
      return run_backward<T, LstmCell>(shape, s, d);
    case Cell::gru:
      return run_backward<T, GruCell>(shape, s, d);
  }
}

template <class T>
constexpr RecurrentKernels<T> kernels = {forward<T>, backward<T>};

}  // namespace

extern const ByType<RecurrentKernels> recurrent_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
