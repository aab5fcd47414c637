#include "cpu/recurrent/layer.h"
#include "cpu/recurrent/recurrent.h"
#include "cpu/runtime/trace.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/recurrent/tile_weights.h"
#include "cpu/runtime/precision.h"
#endif

namespace tinydl::TINYDL_TIER {

namespace {

// Notes the recurrent products of all steps for tinydl.explain.
void trace(const SequenceShape& shape, int64_t n, int64_t k, const char* how, const char* refused) {
  trace_product(shape.steps * shape.batch, n, k, how, refused);
}

#if defined(TINYDL_TIER_amx)
// Why a layer's steps run on no matrix tiles, or null.
const char* tiles_refused(const SequenceShape& shape, int gates) {
  constexpr int64_t kMostWeights = 1 << 20;  // whose planes still come from the caches
  const TileThreshold threshold = tile_threshold();
  if (gates * shape.hidden * shape.hidden > kMostWeights)
    return "no matrix tiles: the weights' parts exceed the caches";
  if (shape.batch < 16 || shape.hidden < threshold.side / 4) return "no matrix tiles: too few sequences or units";
  if (shape.steps * shape.batch * gates * shape.hidden * shape.hidden < threshold.work)
    return "no matrix tiles: too few multiply-adds to pay for the split";
  return nullptr;
}

// Calls f with the number of bfloat16 planes that the precision asks for, and returns how to call that.
template <class F>
const char* with_planes(const F& f) {
  switch (float32_precision()) {
    case Float32Precision::medium:
      return f(Planes<1>()), "matrix tiles, one product of bfloat16 parts (precision medium)";
    case Float32Precision::high:
      return f(Planes<2>()), "matrix tiles, three products of bfloat16 parts (precision high)";
    default:
      return f(Planes<3>()), "matrix tiles, six products of bfloat16 parts";
  }
}

// Null, or why h is still to be computed.
template <template <class> class CellType>
const char* forward_on_tiles(const SequenceShape& shape, const Sequence<float>& s) {
  constexpr int gates = CellType<float>::gates;
  if (!CellType<float>::is_bounded) return "no matrix tiles: the states have no bound";
  if (const char* refused = tiles_refused(shape, gates)) return refused;
  bool exact = false;
  const char* how = with_planes([&](auto planes) {
    SharedRange states, range;
    states.add(127 + 1, 127);
    if (s.h0) add_range(s.h0, shape.batch * shape.hidden, states);
    ForwardTiles<gates, decltype(planes)::value> weights{shape.hidden, nullptr, &range};
    const Packed<ForwardTiles<gates, decltype(planes)::value>> packed(weights, s.weight);
    exact = split_is_exact(states, range, shape.hidden);
    if (exact) run_forward<CellType>(shape, s, weights, kTileEdge);
  });
  if (!exact) return "no matrix tiles: the operands' range is too wide for bfloat16 parts, or not finite";
  trace(shape, gates * shape.hidden, shape.hidden, how, nullptr);
  return nullptr;
}

template <template <class> class CellType>
const char* backward_on_tiles(const SequenceShape& shape, const Sequence<float>& s, const SequenceGrad<float>& d) {
  constexpr int gates = CellType<float>::gates;
  if (const char* refused = tiles_refused(shape, gates)) return refused;
  const char* how = with_planes([&](auto planes) {
    SharedRange range;
    BackwardTiles<decltype(planes)::value> weights{shape.hidden, gates * shape.hidden, nullptr, &range, s.weight};
    const Packed<BackwardTiles<decltype(planes)::value>> packed(weights, s.weight);
    run_backward<CellType>(shape, s, d, weights, kTileEdge);
  });
  trace(shape, shape.hidden, gates * shape.hidden, how, nullptr);
  return nullptr;
}
template <template <class> class CellType>
const char* forward_on_tiles(const SequenceShape&, const Sequence<double>&) {
  return "no matrix tiles: they have no float64";
}
template <template <class> class CellType>
const char* backward_on_tiles(const SequenceShape&, const Sequence<double>&, const SequenceGrad<double>&) {
  return "no matrix tiles: they have no float64";
}
#else
template <template <class> class CellType, class T>
const char* forward_on_tiles(const SequenceShape&, const Sequence<T>&) {
  return "no matrix tiles: the instruction set in use has none";
}
template <template <class> class CellType, class T>
const char* backward_on_tiles(const SequenceShape&, const Sequence<T>&, const SequenceGrad<T>&) {
  return "no matrix tiles: the instruction set in use has none";
}
#endif

template <class T, template <class> class CellType>
void forward_of(const SequenceShape& shape, const Sequence<T>& s) {
  constexpr int gates = CellType<T>::gates;
  const char* refused = forward_on_tiles<CellType>(shape, s);
  if (!refused) return;
  trace(shape, gates * shape.hidden, shape.hidden, "fused multiply-adds", refused);
  ForwardWeights<T, gates> weights{shape.hidden, nullptr};
  const Packed<ForwardWeights<T, gates>> packed(weights, s.weight);
  run_forward<CellType>(shape, s, weights, weights.kRows);
}

template <class T, template <class> class CellType>
void backward_of(const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d) {
  constexpr int gates = CellType<T>::gates;
  const char* refused = backward_on_tiles<CellType>(shape, s, d);
  if (!refused) return;
  trace(shape, shape.hidden, gates * shape.hidden, "fused multiply-adds", refused);
  BackwardWeights<T> weights{Panels<T>(shape.hidden), gates * shape.hidden, nullptr};
  const Packed<BackwardWeights<T>> packed(weights, s.weight);
  run_backward<CellType>(shape, s, d, weights, kTileRows[kMaxVectors]);
}

template <class T>
void forward(Cell cell, const SequenceShape& shape, const Sequence<T>& s) {
  switch (cell) {
    case Cell::rnn_tanh:
      return forward_of<T, TanhCell>(shape, s);
    case Cell::rnn_relu:
      return forward_of<T, ReluCell>(shape, s);
    case Cell::lstm:
      return forward_of<T, LstmCell>(shape, s);
    case Cell::gru:
      return forward_of<T, GruCell>(shape, s);
  }
}

template <class T>
void backward(Cell cell, const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d) {
  switch (cell) {
    case Cell::rnn_tanh:
      return backward_of<T, TanhCell>(shape, s, d);
    case Cell::rnn_relu:
      return backward_of<T, ReluCell>(shape, s, d);
    case Cell::lstm:
      return backward_of<T, LstmCell>(shape, s, d);
    case Cell::gru:
      return backward_of<T, GruCell>(shape, s, d);
  }
}

template <class T>
constexpr RecurrentKernels<T> kernels = {forward<T>, backward<T>};

}  // namespace

extern const ByType<RecurrentKernels> recurrent_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
