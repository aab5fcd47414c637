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

// What each worker needs to itself.
template <class Layer>
class WorkerMemory {
 public:
  WorkerMemory(const Layer& layer, int workers)
      : layer_(layer),
        share_((kMemory + layer.weights.worker_bytes() + 63) / 64 * 64),
        scratch_(share_ * static_cast<size_t>(workers)) {}

  typename Layer::Memory& of(int worker) const {
    char* mine = static_cast<char*>(scratch_.data()) + share_ * static_cast<size_t>(worker);
    auto& memory = *reinterpret_cast<typename Layer::Memory*>(mine);
    layer_.weights.set_up(memory, mine + kMemory);
    return memory;
  }

 private:
  static constexpr size_t kMemory = (sizeof(typename Layer::Memory) + 63) / 64 * 64;
  const Layer& layer_;
  size_t share_;
  Scratch scratch_;
};

// Each worker takes some sequences, whole tiles of them, through all steps: sequences do not meet.
template <class Layer>
void share_sequences(int64_t tile, int workers, const Layer& layer) {
  const WorkerMemory<Layer> memory(layer, workers);
  parallel_for_workers(div_up(layer.shape.batch, tile), workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    const typename decltype(layer.weights)::Scope scope;
    (void)scope;
    auto& own = memory.of(worker);
    const Share share{begin * tile, smaller(end * tile, layer.shape.batch), 0, layer.blocks()};
    for (int64_t i = 0; i < layer.steps(); ++i) {
      layer.before(i, share);
      layer.step(i, share, own);
      layer.after(i, share);
    }
  });
}

// Each worker takes some units of all sequences; all wait for each other at every step. Its weights are its own.
template <class Layer>
void share_units(int workers, const Layer& layer) {
  const WorkerMemory<Layer> memory(layer, workers);
  const FlushDenormals here;  // for what is done between the parallel parts
  for (int64_t i = 0; i < layer.steps(); ++i) {
    layer.before(i, {0, layer.shape.batch, 0, layer.blocks()});
    parallel_for_workers(layer.blocks(), workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      const typename decltype(layer.weights)::Scope scope;
      (void)scope;
      layer.step(i, {0, layer.shape.batch, begin, end}, memory.of(worker));
    });
    layer.after(i, {0, layer.shape.batch, 0, layer.blocks()});
  }
}

// By units where the weights exceed a worker's second-level cache, or too few sequences are there for all workers.
template <class Layer>
void share_layer(int64_t tile, const Layer& layer) {
  constexpr size_t kCache = 1536 << 10;
  const int64_t work = work_of(layer.shape, Layer::gates);
  const int by_sequences = workers_for(div_up(layer.shape.batch, tile), work);
  const int by_units = workers_for(layer.blocks(), work / larger(1, layer.steps()));
  if (by_units > by_sequences || (by_units == by_sequences && by_units > 1 && layer.weights.packed_bytes() > kCache))
    share_units(by_units, layer);
  else
    share_sequences(tile, by_sequences, layer);
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
  share_layer(tile, layer);
}

template <template <class> class CellType, class T, class Weights>
void run_backward(const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d, const Weights& weights,
                  int64_t tile) {
  const RecurrentBackward<T, CellType, Weights> layer{shape, s, d, weights, {shape}};
  share_layer(tile, layer);
}

}  // namespace tinydl::TINYDL_TIER
