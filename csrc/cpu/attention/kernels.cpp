#include "contract/attention.h"

#include "cpu/attention/backward.h"
#include "cpu/attention/forward.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/runtime/trace.h"

#if defined(TINYDL_TIER_amx)
#include "cpu/attention/tile_backward.h"
#include "cpu/attention/tile_forward.h"
#include "cpu/matmul/product.h"
#endif

namespace tinydl::TINYDL_TIER {

namespace {

// What a worker sets up for its products.
template <class Attention>
struct TileScope {
  TileScope() {}
};
#if defined(TINYDL_TIER_amx)
template <int planes>
struct TileScope<TileForward<planes>> {
  TileRegisters registers;
};
template <int planes>
struct TileScope<TileBackward<planes>> {
  TileRegisters registers;
};

// Queries and keys from which splitting them pays, and of which causal attention wants more, computing half.
constexpr int64_t kTileSide = 256, kCausalTileSide = 512;
#endif

// What so many products of the scores' size cost, in the units of parallel_for.
template <class T>
int64_t work_of(const AttentionShape& s, int64_t products) {
  const int64_t scores = s.batch * s.heads * s.queries * div_up(s.keys, Vec<T>::size) / (s.causal ? 2 : 1);
  return scores * (products * (s.features + s.values) / 2 + 32) / 2;
}

// The scratch memory of every worker, `elements` each.
template <class T>
class WorkerMemory {
 public:
  WorkerMemory(int workers, int64_t elements)
      : share_(div_up(elements, 64) * 64), scratch_(static_cast<size_t>(workers * share_) * sizeof(T)) {}
  T* of(int worker) const { return static_cast<T*>(scratch_.data()) + worker * share_; }

 private:
  int64_t share_;
  Scratch scratch_;
};

// The rows of the scores of all heads.
int64_t score_rows(const AttentionShape& s) { return s.batch * s.heads * s.queries; }

void trace(const AttentionShape& s, const char* refused) {
  trace_product(score_rows(s), s.keys, s.features, "fused multiply-adds", refused);
}

// Attention forward; `done` sees what a worker leaves.
template <class Forward, class T, class Done>
void run_forward(const AttentionShape& shape, const AttentionInput<T>& in, const Heads<T>& o, T* lse,
                 const Done& done) {
  const BlockOrder order{div_up(shape.queries, kBlock), shape.causal};
  const int64_t tasks = shape.batch * shape.heads * order.count;
  const int workers = workers_for(tasks, work_of<T>(shape, 2));
  const typename Forward::Memory parts(shape);
  const WorkerMemory<T> memory(workers, parts.total);
  parallel_for_workers(tasks, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    const TileScope<Forward> tiles;
    Forward attention(shape, in, o, lse, parts, memory.of(worker));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / order.count;
      attention.run(head / shape.heads, head % shape.heads, order.at(task % order.count) * kBlock);
    }
    done(attention);
  });
}

#if defined(TINYDL_TIER_amx)
// False, with the results undefined, where float32's accuracy would be lost.
template <int planes>
bool forward_on_tiles(const AttentionShape& shape, const AttentionInput<float>& in, const Heads<float>& o, float* lse) {
  AttentionRanges ranges;
  run_forward<TileForward<planes>>(shape, in, o, lse, [&](const TileForward<planes>& attention) {
    ranges.q.add(attention.products.q_range);
    ranges.k.add(attention.products.k_range);
    ranges.v.add(attention.products.v_range);
  });
  return ranges.are_exact(shape);
}

const char* tiles_refused(const AttentionShape& s) {
  const int64_t side = larger(1, smaller(s.causal ? kCausalTileSide : kTileSide, tile_threshold().side));
  if (s.queries < side || s.keys < side || s.features < kStepDepth || s.values < kStepDepth)
    return "no matrix tiles: a side is too short to pay for the split";
  return nullptr;
}

// Returns null, or why fused multiply-adds are to be used.
const char* try_tiles(const AttentionShape& s, const AttentionInput<float>& in, const Heads<float>& o, float* lse) {
  if (const char* refused = tiles_refused(s)) return refused;
  return with_planes(score_rows(s), s.keys, s.features, kTileNames,
                     [&](auto planes) { return forward_on_tiles<decltype(planes)::value>(s, in, o, lse); });
}
const char* try_tiles(const AttentionShape&, const AttentionInput<double>&, const Heads<double>&, double*) {
  return "no matrix tiles: they have no float64";
}
#else
template <class T>
const char* try_tiles(const AttentionShape&, const AttentionInput<T>&, const Heads<T>&, T*) {
  return "no matrix tiles: the instruction set in use has none";
}
#endif

template <class T>
void forward(const AttentionShape& shape, const AttentionInput<T>& in, const Heads<T>& o, T* lse) {
  trace_line("attention: blocks of queries, keys packed once for each worker's queries of a head");
  const char* refused = try_tiles(shape, in, o, lse);
  if (!refused) return;
  trace(shape, refused);
  run_forward<AttentionForward<T>>(shape, in, o, lse, [](const AttentionForward<T>&) {});
}

// D_i = do_i . o_i
template <class T>
void row_dots(const AttentionShape& s, const Heads<const T>& o, const Heads<const T>& d_o, T* dots) {
  const int64_t rows = s.batch * s.heads * s.queries;
  parallel_for(div_up(rows, kBlock), rows * (s.values + 8), [&](int64_t begin, int64_t end, int) {
    const FlushDenormals flush;
    for (int64_t row = begin * kBlock; row < smaller(end * kBlock, rows); ++row) {
      const int64_t head = row / s.queries, query = row % s.queries;
      const T* x = row_of(o, head / s.heads, head % s.heads, query);
      const T* y = row_of(d_o, head / s.heads, head % s.heads, query);
      dots[row] = static_cast<T>(sum_terms<T>(
          s.values, [=](int64_t i, int lanes) { return load_first(x + i, lanes) * load_first(y + i, lanes); }));
    }
  });
}

// Calls task(attention, i) for i < tasks, on the threads; `done` sees what a worker leaves.
template <class Backward, class T, class Task, class Done>
void share(const AttentionShape& shape, const AttentionInput<T>& in, const AttentionGrads<T>& grads, int64_t tasks,
           int64_t products, bool queries, bool keys, const Task& task, const Done& done) {
  const int workers = workers_for(tasks, work_of<T>(shape, products));
  const typename Backward::Memory parts(shape);
  const WorkerMemory<T> memory(workers, parts.total);
  parallel_for_workers(tasks, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    const TileScope<Backward> tiles;
    Backward attention(shape, in, grads, parts, memory.of(worker), queries, keys);
    for (int64_t i = begin; i < end; ++i) task(attention, i);
    done(attention);
  });
}

// Whether one pass over whole heads is done before two passes over blocks, of which every worker gets as many.
template <class T>
bool heads_suffice(const AttentionShape& s, const AttentionGrads<T>& grads) {
  const int64_t heads = s.batch * s.kv_heads;
  const int64_t keys = grads.dk.data || grads.dv.data ? 4 : 0, queries = grads.dq.data ? 3 : 0;
  const int64_t workers = workers_for(s.batch * s.heads * div_up(s.queries, kBlock), work_of<T>(s, 5));
  return div_up(heads, workers) * (keys && queries ? 5 : keys + queries) * workers <= heads * (keys + queries);
}

template <class Backward, class T, class Done>
void run_backward(const AttentionShape& s, const AttentionInput<T>& in, const AttentionGrads<T>& grads,
                  const Done& done) {
  if (heads_suffice(s, grads)) {
    const auto head = [&](Backward& attention, int64_t i) { attention.head(i / s.kv_heads, i % s.kv_heads); };
    return share<Backward>(s, in, grads, s.batch * s.kv_heads, 5, true, true, head, done);
  }
  const BlockOrder queries{div_up(s.queries, kBlock), s.causal}, keys{div_up(s.keys, kBlock), s.causal};
  const auto query_block = [&](Backward& attention, int64_t i) {
    const int64_t head = i / queries.count;
    attention.queries(head / s.heads, head % s.heads, queries.at(i % queries.count) * kBlock);
  };
  const auto key_block = [&](Backward& attention, int64_t i) {
    const int64_t head = i / keys.count;
    attention.keys(head / s.kv_heads, head % s.kv_heads, keys.at(i % keys.count) * kBlock);
  };
  if (grads.dq.data)
    share<Backward>(s, in, grads, s.batch * s.heads * queries.count, 3, true, false, query_block, done);
  if (grads.dk.data || grads.dv.data)
    share<Backward>(s, in, grads, s.batch * s.kv_heads * keys.count, 4, false, true, key_block, done);
}

#if defined(TINYDL_TIER_amx)
// False, with the results undefined, where float32's accuracy would be lost.
template <int planes>
bool backward_on_tiles(const AttentionShape& shape, const AttentionInput<float>& in,
                       const AttentionGrads<float>& grads) {
  BackwardRanges ranges;
  run_backward<TileBackward<planes>>(shape, in, grads, [&](const TileBackward<planes>& attention) {
    ranges.q.add(attention.q_range);
    ranges.k.add(attention.k_range);
    ranges.v.add(attention.v_range);
    ranges.d_o.add(attention.d_o_range);
    ranges.ds.add(attention.ds_range);
  });
  return ranges.are_exact(shape);
}

// Returns null, or why fused multiply-adds are to be used.
const char* try_tiles(const AttentionShape& s, const AttentionInput<float>& in, const AttentionGrads<float>& grads) {
  if (const char* refused = tiles_refused(s)) return refused;
  if (in.mask.added || in.mask.allowed || in.dropout.p > 0) return "no matrix tiles: a mask or dropout, row by row";
  return with_planes(score_rows(s), s.keys, s.features, kTileNames,
                     [&](auto planes) { return backward_on_tiles<decltype(planes)::value>(s, in, grads); });
}
const char* try_tiles(const AttentionShape&, const AttentionInput<double>&, const AttentionGrads<double>&) {
  return "no matrix tiles: they have no float64";
}
#else
template <class T>
const char* try_tiles(const AttentionShape&, const AttentionInput<T>&, const AttentionGrads<T>&) {
  return "no matrix tiles: the instruction set in use has none";
}
#endif

template <class T>
void backward(const AttentionShape& s, const AttentionInput<T>& in, const Heads<const T>& o, const T* lse,
              const Heads<const T>& d_o, const Heads<T>& dq, const Heads<T>& dk, const Heads<T>& dv) {
  const Scratch scratch(static_cast<size_t>(s.batch * s.heads * s.queries) * sizeof(T));
  T* dots = static_cast<T*>(scratch.data());
  row_dots(s, o, d_o, dots);
  const AttentionGrads<T> grads{o, d_o, lse, dots, dq, dk, dv};
  trace_line("attention backward: probabilities computed again");
  const char* refused = try_tiles(s, in, grads);
  if (!refused) return;
  trace(s, refused);
  run_backward<AttentionBackward<T>>(s, in, grads, [](const AttentionBackward<T>&) {});
  for (int64_t row = 0; dq.data && s.keys == 0 && row < s.batch * s.heads * s.queries; ++row) {
    const int64_t head = row / s.queries;
    AttentionBackward<T>::zero_row(row_of(dq, head / s.heads, head % s.heads, row % s.queries), s.features);
  }
}

template <class T>
constexpr AttentionKernels<T> kernels = {forward<T>, backward<T>};

}  // namespace

extern const ByType<AttentionKernels> attention_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
