#include "contract/recurrent.h"
#include "cpu/recurrent/layer.h"
#include "cpu/runtime/trace.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/matmul/product.h"
#include "cpu/recurrent/tile_weights.h"
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

// Splits U and runs the layer; false where U alone is beyond the range.
template <class Weights, class Layer>
bool run_on_tiles(Weights weights, const Layer& run, int64_t k) {
  const Packed<Weights> packed(weights, weights.weight);
  if (!weights.range->is_usable(k)) return false;
  run(weights);
  if (weights.range->exceeded) trace_line("some steps by fused multiply-adds: their range is too wide for the tiles");
  return true;
}

// Null, or why h is still to be computed.
template <template <class> class CellType>
const char* forward_on_tiles(const SequenceShape& shape, const Sequence<float>& s) {
  constexpr int gates = CellType<float>::gates;
  if (const char* refused = tiles_refused(shape, gates)) return refused;
  return with_planes(shape.steps * shape.batch, gates * shape.hidden, shape.hidden, kTileNames, [&](auto planes) {
    TileRange range;
    const ForwardTiles<gates, decltype(planes)::value> weights{shape.hidden, nullptr, &range, s.weight};
    const auto run = [&](const auto& packed) { run_forward<CellType>(shape, s, packed, kTileEdge); };
    return run_on_tiles(weights, run, shape.hidden);
  });
}

template <template <class> class CellType>
const char* backward_on_tiles(const SequenceShape& shape, const Sequence<float>& s, const SequenceGrad<float>& d) {
  const int64_t depth = CellType<float>::gates * shape.hidden;
  if (const char* refused = tiles_refused(shape, CellType<float>::gates)) return refused;
  return with_planes(shape.steps * shape.batch, shape.hidden, depth, kTileNames, [&](auto planes) {
    TileRange range;
    const BackwardTiles<decltype(planes)::value> weights{shape.hidden, depth, nullptr, &range, s.weight};
    const auto run = [&](const auto& packed) { run_backward<CellType>(shape, s, d, packed, kTileEdge); };
    return run_on_tiles(weights, run, depth);
  });
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
