// A whole layer: its weights packed, and its sequences shared out.
#pragma once
#include "cpu/recurrent/backward.h"
#include "cpu/recurrent/forward.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"

namespace tinydl::TINYDL_TIER {

// What a layer costs, in the units of parallel_for.
inline int64_t work_of(const SequenceShape& shape, int gates) {
  return shape.steps * shape.batch * gates * (shape.hidden / 8 + 1) * (shape.hidden + 16) / 2;
}

// Calls layer.run over ranges of sequences, whole tiles of them, each worker with memory of its own.
template <class Layer>
void share_sequences(int64_t tile, const Layer& layer) {
  using Memory = typename Layer::Memory;
  const int64_t tiles = div_up(layer.shape.batch, tile);
  const int workers = workers_for(tiles, work_of(layer.shape, Layer::gates));
  const size_t share = (sizeof(Memory) + layer.weights.worker_bytes() + 63) / 64 * 64;
  Scratch scratch(share * static_cast<size_t>(workers));
  char* memory = static_cast<char*>(scratch.data());
  parallel_for_workers(tiles, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    const typename decltype(layer.weights)::Scope scope;
    (void)scope;
    char* mine = memory + share * static_cast<size_t>(worker);
    Memory& own = *reinterpret_cast<Memory*>(mine);
    layer.weights.set_up(own, mine + (sizeof(Memory) + 63) / 64 * 64);
    layer.run(begin * tile, smaller(end * tile, layer.shape.batch), own);
  });
}

// U packed by `weights` into memory that lives as long as this.
template <class Weights>
class Packed {
 public:
  template <class T>
  Packed(Weights& weights, const T* from) : memory_(weights.packed_bytes()) {
    weights.packed = static_cast<decltype(weights.packed)>(memory_.data());
    const int64_t work = static_cast<int64_t>(weights.packed_bytes() / sizeof(T));
    parallel_for(weights.blocks(), work, [&](int64_t begin, int64_t end, int) {
      for (int64_t block = begin; block < end; ++block) weights.pack(from, block);
    });
  }

 private:
  Scratch memory_;
};

template <template <class> class CellType, class T, class Weights>
void run_forward(const SequenceShape& shape, const Sequence<T>& s, const Weights& weights, int64_t tile) {
  Scratch masked(s.mask ? static_cast<size_t>(shape.batch * shape.hidden) * sizeof(T) : 0);
  const RecurrentForward<T, CellType, Weights> layer{
      shape, s, weights, {shape}, s.mask ? static_cast<T*>(masked.data()) : nullptr};
  share_sequences(tile, layer);
}

template <template <class> class CellType, class T, class Weights>
void run_backward(const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d, const Weights& weights,
                  int64_t tile) {
  const RecurrentBackward<T, CellType, Weights> layer{shape, s, d, weights, {shape}};
  share_sequences(tile, layer);
}

}  // namespace tinydl::TINYDL_TIER
